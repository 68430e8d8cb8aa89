"""A group of settings as one compact table for the terminal."""

from ferjax.documents.aligned_text import to_text
from ferjax.documents.table import Table
from ferjax.study.comparison import Group
from ferjax.study.group_tables import tabulate_scores
from ferjax.study.numbers_shown import show_difference, show_p, show_percent
from ferjax.study.paired_tests import Difference


def format_group(group: Group) -> str:
    """Write the scores of a group and what the tests say about each setting."""
    comparisons = {comparison.name: comparison for comparison in group.comparisons}
    wide = tabulate_scores(group)
    shown = ["setting", "images", "seeds", "accuracy", "95% t interval"]
    shown += [group.reference.title] if group.reference else []
    kept = [i for i, name in enumerate(wide.header) if name in shown]
    header = (*(wide.header[i] for i in kept), "macro F1", "difference", "p seeds (corrected)", "p images (corrected)")
    rows = []
    for summary, cells in zip(group.members, wide.rows, strict=True):
        row = [cells[i] for i in kept] + [show_percent(summary.get("macro_f1").description.mean)]
        if (comparison := comparisons.get(summary.name)) is None:
            row += ["baseline", "", ""]
        else:
            over_seeds, over_images = comparison.seeds, comparison.images
            difference = over_images.mean if over_seeds.mean is None else over_seeds.mean
            row += [show_difference(difference), _show_both(over_seeds), _show_both(over_images)]
        rows.append(tuple(row))
    images = group.count_images()
    size = "" if images is None else f", {images:,} images"
    title = f"{group.split} split{size}, baseline {group.baseline.name} ({group.reason}); percent"
    return f"{title}\n\n{to_text(Table(header, tuple(rows), words=('setting',)))}"


def _show_both(test: Difference) -> str:
    return show_p(test.p) if test.p is None else f"{show_p(test.p)} ({show_p(test.p_corrected)})"
