"""The page of an audit: its tables, and examples of what was found."""

import collections
import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ferjax.data.audit.findings import Audit, count_classes, count_copies, find_contradictory
from ferjax.data.duplicates import FLOOR, THRESHOLD, Pairs
from ferjax.documents import html_page as page
from ferjax.documents.table import Table

_SHOWN_PX = 96  # small images are enlarged, by a whole number, to about this side
_GAP_PX = 1
_GROUPS, _PAIRS, _FLAT = 40, 18, 24  # examples at most


def render(audit: Audit, path: str) -> str:
    """Return the whole page as HTML."""
    rows = audit.rows
    lead = (
        f"{path}: {len(rows)} rows. Rows are numbered from 0 in file order; copies.csv lists every row that has a copy."
    )
    return page.document(
        "Audit of a data set",
        lead,
        [
            ("classes", "Classes", _classes(audit)),
            ("copies", "Copies", _copies(audit)),
            ("contradictions", "Contradicting labels", _contradictions(audit)),
            ("near", "Near copies", _near(audit)),
            ("flat", "Flat images", _flat(audit)),
        ],
    )


def _classes(audit: Audit) -> str:
    rows = audit.rows
    counts = count_classes(rows)
    header = ("class", *(cell for usage in counts for cell in (usage, "share")))
    lines = [
        (name, *(cell for n in counts.values() for cell in (str(n[i]), f"{n[i] / sum(n):.1%}")))
        for i, name in enumerate(rows.classes)
    ]
    lines.append(("all", *(cell for n in counts.values() for cell in (str(sum(n)), ""))))
    notes = [page.paragraph(note, note=True) for note in rows.notes]
    skipped = [page.paragraph(f"left out: {reason}", note=True) for reason in rows.skipped[:_PAIRS]]
    if len(rows.skipped) > _PAIRS:
        skipped.append(page.paragraph(f"and {len(rows.skipped) - _PAIRS} more, which audit.json lists", note=True))
    return page.to_html(Table(header, tuple(lines), words=("class",))) + "".join(notes + skipped)


def _copies(audit: Audit) -> str:
    said = (
        f"Exact copies have the same pixels. Near copies correlate at {THRESHOLD} or more, or are joined by a chain of "
        "images that do; one of the two may be mirrored. Training can leave out what has a copy in validation or test: "
        "--config.data.dedup=exact or near."
    )
    lines = tuple((what, str(exact), str(near)) for what, exact, near in count_copies(audit))
    table = Table(("", "exact", "exact or near"), lines, words=("",))
    return page.to_html(table) + page.paragraph(said, note=True)


def _contradictions(audit: Audit) -> str:
    """Show the groups of exact copies whose labels differ, largest first."""
    members = collections.defaultdict(list)
    for row in np.flatnonzero(find_contradictory(audit.images, audit.rows)).tolist():
        members[int(audit.images[row])].append(row)
    groups = sorted(members.values(), key=len, reverse=True)
    if not groups:
        return page.paragraph("No two rows have the same pixels and different labels.")
    figures = [_figure(audit.rows.images[group[:1]], _name(audit, group)) for group in groups[:_GROUPS]]
    said = f"Images with more than one label: {len(groups)}" + _shown(len(groups), _GROUPS)
    return page.paragraph(said) + page.gallery(figures)


def _near(audit: Audit) -> str:
    pairs = audit.pairs
    order = np.argsort(pairs.correlation, kind="stable")
    cut = int((pairs.correlation < THRESHOLD).sum())
    above, below = pairs.select(order[cut:]), pairs.select(order[:cut][::-1])
    differ = above.select(audit.rows.labels[above.first] != audit.rows.labels[above.second])
    differ = differ.select(np.arange(len(differ))[::-1])
    mirrored = above.select(above.mirrored)
    return "".join(
        f"<h3>{heading}</h3>{page.paragraph(said + _shown(len(found), _PAIRS), note=True)}"
        f"{page.gallery(_pair(audit, found, i) for i in range(min(len(found), _PAIRS)))}"
        for heading, said, found in (
            ("Near copies with different labels", f"Pairs: {len(differ)}, the closest first", differ),
            ("The least alike that count", f"Pairs at {THRESHOLD} or more: {len(above)}, from there up", above),
            ("The most alike that do not", f"Pairs from {THRESHOLD} down to {FLOOR}: {len(below)}", below),
            ("Mirrored", f"Pairs of which one is mirrored: {len(mirrored)}", mirrored),
        )
    )


def _flat(audit: Audit) -> str:
    if not len(audit.flat):
        return page.paragraph(f"No image is a single {_name_tone(audit)}.")
    shown = audit.flat[:_FLAT].tolist()
    figures = [_figure(audit.rows.images[[row]], _name(audit, [row])) for row in shown]
    said = f"Images of a single {_name_tone(audit)}: {len(audit.flat)}" + _shown(len(audit.flat), _FLAT)
    return page.paragraph(said) + page.gallery(figures)


def _pair(audit: Audit, pairs: Pairs, i: int) -> str:
    rows = np.array([pairs.first[i], pairs.second[i]])
    mirrored = ", mirrored" if pairs.mirrored[i] else ""
    return _figure(audit.rows.images[rows], f"{pairs.correlation[i]:.3f}{mirrored}: {_name(audit, rows.tolist())}")


def _name_tone(audit: Audit) -> str:
    return "gray level" if audit.rows.channels == 1 else "colour"


def _name(audit: Audit, rows: list[int]) -> str:
    """Write 'angry 12, sad 455 (PublicTest)': label and number of each row, and its usage if that is not Training."""
    usage = np.zeros(len(audit.rows), np.uint8) if audit.rows.usage is None else audit.rows.usage
    return ", ".join(
        f"{audit.rows.classes[audit.rows.labels[row]]} {row}"
        + (f" ({audit.rows.usages[usage[row]]})" if usage[row] else "")
        for row in rows
    )


def _shown(found: int, limit: int) -> str:
    return f"; {limit} of them:" if found > limit else "."


def _figure(images: UInt8[np.ndarray, "k side side channels"], caption: str) -> str:
    """Draw images side by side, enlarged without smoothing."""
    side, channels = images.shape[1], images.shape[3]
    strip = np.full((side, len(images) * (side + _GAP_PX) - _GAP_PX, channels), 255, np.uint8)
    for i, image in enumerate(images):
        start = i * (side + _GAP_PX)
        strip[:, start : start + side] = image
    picture = Image.fromarray(strip[..., 0] if channels == 1 else strip)
    scale = max(_SHOWN_PX // side, 1)
    buffer = io.BytesIO()
    picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(buffer, "png")
    return page.image(buffer.getvalue(), caption)
