"""Annotated copies of pictures and videos, in a folder."""

import contextlib
import pathlib
import re
from collections.abc import Sequence

from PIL import Image

from ferjax.files import replacing
from ferjax.inference.answers import Answer
from ferjax.inference.drawing import draw_faces
from ferjax.inference.marks import Places, create_mark
from ferjax.inference.video import VideoWriter

_QUALITY = 92


class Copies:
    """Writes a copy of every picture with its faces marked: images as JPEG, the frames of a video as one MP4.

    With `explained` the faces' overlays are laid into it.
    """

    def __init__(self, folder: pathlib.Path, classes: Sequence[str], *, explained: bool = False) -> None:
        self.folder, self._classes, self._explained = folder, classes, explained
        self._places = Places()
        self._video: VideoWriter | None = None
        self._source = ""
        self._begun = contextlib.ExitStack()  # the video's file, which gets its name when it is complete

    @property
    def written(self) -> set[pathlib.Path]:
        return self._places.written

    def add(self, answer: Answer) -> None:
        """Draw a picture that could be read."""
        picture = answer.picture
        if picture.pixels is None:
            return
        drawn = draw_faces(answer, self._classes, explained=self._explained)
        if not picture.moving:
            path = self._choose_path(picture.source, "" if picture.frame is None else f"_{picture.frame}", ".jpg")
            with replacing(path) as beside:
                Image.fromarray(drawn).save(beside, "JPEG", quality=_QUALITY, comment=create_mark(picture.source))
            return
        if self._video is None or picture.source != self._source:
            self.close()
            self._source = picture.source
            beside = self._begun.enter_context(replacing(self._choose_path(picture.source, "", ".mp4")))
            self._video = VideoWriter(beside, create_mark(picture.source))
        self._video.add(drawn, picture.time_s or 0.0)

    def close(self) -> None:
        """Complete the video that is being written."""
        if self._video is not None:
            with self._begun:
                self._video.close()
            self._video = None

    def _choose_path(self, source: str, ending: str, suffix: str) -> pathlib.Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        stem = re.sub(r"[^\w.-]+", "_", pathlib.PurePath(source).stem) or "picture"
        return self._places.choose(self.folder / f"{stem}{ending}{suffix}", source)
