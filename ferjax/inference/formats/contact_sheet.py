"""A contact sheet: one HTML page with the pictures, their faces marked, and how often each expression was found."""

import collections
import io
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ferjax.documents import html_page, words
from ferjax.documents.table import Table
from ferjax.inference.answers import Answer, Row, describe_faces, describe_place, list_columns
from ferjax.inference.drawing import draw_faces, draw_overlays

# So many pictures are shown at most, spread evenly over all of them; a page of more is slow to open.
_MOST_PICTURES = 200
_WIDTH_PX, _HEIGHT_PX = 280, 210
_MOST_UNREADABLE = 1000
# Beneath a picture: where the answers for its first faces come from.
_OVERLAYS_IN_A_ROW, _MOST_OVERLAYS = 3, 6


class ContactSheet:
    """Keeps small copies of some of the pictures, and writes the page at the end."""

    def __init__(self, file: BinaryIO, classes: Sequence[str]) -> None:
        self._file, self._classes, self._columns = file, classes, list_columns(classes)
        self._labels: collections.Counter[str] = collections.Counter()
        self._statuses: collections.Counter[str] = collections.Counter()
        self._unreadable: list[tuple[str, str]] = []
        self._shown: list[str] = []
        self._every, self._with_pixels, self._pictures, self._explained = 1, 0, 0, False

    def add(self, answer: Answer, rows: Sequence[Row]) -> None:
        label, status = self._columns.index("label"), self._columns.index("status")
        self._labels.update(row[label] for row in rows if row[label] is not None)
        self._statuses.update(row[status] for row in rows)
        self._pictures += 1
        if not answer.readable:
            self._unreadable.append((describe_place(answer.picture), answer.picture.reason))
        elif answer.picture.pixels is not None:
            if self._with_pixels % self._every == 0:
                self._show(answer)
            self._with_pixels += 1

    def _show(self, answer: Answer) -> None:
        small = draw_faces(answer, self._classes, longest_px=(_WIDTH_PX, _HEIGHT_PX))
        overlays = draw_overlays(answer.faces, width_px=_WIDTH_PX, in_a_row=_OVERLAYS_IN_A_ROW, most=_MOST_OVERLAYS)
        if overlays is not None:
            self._explained = True
            small = _stack(small, overlays)
        jpeg = io.BytesIO()
        Image.fromarray(small).save(jpeg, "JPEG", quality=82)
        caption = f"{describe_place(answer.picture)}: {describe_faces(answer, self._classes)}"
        self._shown.append(html_page.image(jpeg.getvalue(), caption, kind="jpeg"))
        if len(self._shown) > _MOST_PICTURES:
            self._shown = self._shown[::2]
            self._every *= 2

    def close(self) -> None:
        faces = self._labels.total()
        found = f"{words.count(faces, 'face')} in {words.count(self._pictures, 'picture')}"
        lead = f"{found}; {len(self._unreadable):,} of these could not be read."
        sections = [("expressions", "Expressions", self._count()), ("pictures", "Pictures", self._gather())]
        if self._unreadable:
            sections.append(("unreadable", "Could not be read", self._list_unreadable()))
        page = html_page.document("Facial expressions", lead, sections)
        self._file.write(page.encode("utf-8", "backslashreplace"))

    def _count(self) -> str:
        faces = max(1, self._labels.total())
        rows = [(name, f"{self._labels[name]:,}", f"{self._labels[name] / faces:.1%}") for name in self._classes]
        table = Table(("expression", "faces", "share"), tuple(rows), words=("expression",))
        notes = [
            (self._statuses["unsure"], "face", "whose answer may well be wrong (status unsure)."),
            (self._statuses["no_face"], "picture", "without a face that was found."),
        ]
        return html_page.to_html(table) + "".join(
            html_page.paragraph(f"{words.count(number, noun)} {text}", note=True)
            for number, noun, text in notes
            if number
        )

    def _gather(self) -> str:
        some = f"One picture in {self._every:,} is shown; the other files have all of them." if self._every > 1 else ""
        maps = (
            f"Beneath each picture: its faces, the surest first, {_MOST_OVERLAYS} at most, with where the answer "
            "comes from."
        )
        notes = [some] * bool(some) + [maps] * self._explained
        return "".join(html_page.paragraph(note, note=True) for note in notes) + html_page.gallery(self._shown)

    def _list_unreadable(self) -> str:
        listed = self._unreadable[:_MOST_UNREADABLE]
        rest = len(self._unreadable) - len(listed)
        table = Table(("picture", "what it is"), tuple(listed), words=("picture", "what it is"))
        note = html_page.paragraph(f"{rest:,} more are in the other files.", note=True) if rest else ""
        return html_page.to_html(table) + note


def _stack(upper: UInt8[np.ndarray, "h w 3"], lower: UInt8[np.ndarray, "y x 3"]) -> UInt8[np.ndarray, "r c 3"]:
    """Return one picture above another, on white."""
    image = Image.new("RGB", (max(upper.shape[1], lower.shape[1]), upper.shape[0] + lower.shape[0]), "white")
    image.paste(Image.fromarray(upper), (0, 0))
    image.paste(Image.fromarray(lower), (0, upper.shape[0]))
    return np.asarray(image)
