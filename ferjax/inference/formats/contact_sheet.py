"""A contact sheet: one HTML page with the pictures, their faces marked, and how often each expression was found."""

import collections
import io
from collections.abc import Sequence
from typing import BinaryIO

from PIL import Image

from ferjax.documents import html_page
from ferjax.documents.table import Table
from ferjax.inference.answers import Answer, Row, describe_faces, describe_place, list_columns
from ferjax.inference.drawing import draw_faces

# So many pictures are shown at most, spread evenly over all of them; a page of more is slow to open.
_MOST_PICTURES = 200
_WIDTH_PX, _HEIGHT_PX = 280, 210
_MOST_UNREADABLE = 1000


class ContactSheet:
    """Keeps small copies of some of the pictures, and writes the page at the end."""

    def __init__(self, file: BinaryIO, classes: Sequence[str]) -> None:
        self._file, self._classes, self._columns = file, classes, list_columns(classes)
        self._labels: collections.Counter[str] = collections.Counter()
        self._statuses: collections.Counter[str] = collections.Counter()
        self._unreadable: list[tuple[str, str]] = []
        self._shown: list[str] = []
        self._every, self._pictures = 1, 0

    def add(self, answer: Answer, rows: Sequence[Row]) -> None:
        label, status = self._columns.index("label"), self._columns.index("status")
        self._labels.update(row[label] for row in rows if row[label] is not None)
        self._statuses.update(row[status] for row in rows)
        if not answer.readable:
            self._unreadable.append((describe_place(answer.picture), answer.picture.reason))
        elif answer.picture.pixels is not None:
            if self._pictures % self._every == 0:
                self._show(answer)
            self._pictures += 1

    def _show(self, answer: Answer) -> None:
        small = draw_faces(answer, self._classes, longest_px=(_WIDTH_PX, _HEIGHT_PX))
        jpeg = io.BytesIO()
        Image.fromarray(small).save(jpeg, "JPEG", quality=82)
        caption = f"{describe_place(answer.picture)}: {describe_faces(answer, self._classes)}"
        self._shown.append(html_page.image(jpeg.getvalue(), caption, kind="jpeg"))
        if len(self._shown) > _MOST_PICTURES:
            self._shown = self._shown[::2]
            self._every *= 2

    def close(self) -> None:
        faces = self._labels.total()
        lead = f"{faces:,} faces in {self._pictures:,} pictures; {len(self._unreadable):,} could not be read."
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
            (self._statuses["unsure"], "faces have an answer that is often wrong (status unsure)."),
            (self._statuses["no_face"], "pictures have no face that was found."),
        ]
        return html_page.to_html(table) + "".join(
            html_page.paragraph(f"{count:,} {text}", note=True) for count, text in notes if count
        )

    def _gather(self) -> str:
        some = f"One picture in {self._every:,} is shown; the other files have all of them." if self._every > 1 else ""
        return (html_page.paragraph(some, note=True) if some else "") + html_page.gallery(self._shown)

    def _list_unreadable(self) -> str:
        listed = self._unreadable[:_MOST_UNREADABLE]
        rest = len(self._unreadable) - len(listed)
        table = Table(("picture", "what it is"), tuple(listed), words=("picture", "what it is"))
        note = html_page.paragraph(f"{rest:,} more are in the other files.", note=True) if rest else ""
        return html_page.to_html(table) + note
