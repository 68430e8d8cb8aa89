"""The curves of a video's faces, gathered frame by frame in little memory, and drawn at the end."""

import array
import collections
import pathlib
from collections.abc import Sequence

import numpy as np

from ferjax.inference.answers import Answer
from ferjax.inference.marks import PNG_KEY, Places, create_mark

ENDING = "_expressions.png"


class Curves:
    """Gathers the smoothed probabilities of every face of every video: some 3 MB for an hour of one face."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self._times: dict[tuple[str, int], array.array[float]] = collections.defaultdict(lambda: array.array("d"))
        self._values: dict[tuple[str, int], array.array[float]] = collections.defaultdict(lambda: array.array("f"))

    def add(self, answer: Answer) -> None:
        for face in answer.faces:
            if face.track is not None and face.smooth is not None:
                place = (answer.picture.source, face.track)
                self._times[place].append(answer.picture.time_s or 0.0)
                self._values[place].extend(face.smooth.tolist())

    def draw(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """Write a chart for each video with faces; return their paths."""
        if not self._times:
            return []
        from ferjax.figures.expressions import FaceCurve, draw_expressions
        from ferjax.figures.style import forgiving, save

        paths, places = list[pathlib.Path](), Places()
        for source in dict.fromkeys(source for source, _ in self._times):
            curves = [
                FaceCurve(f"face {track}", np.array(times), self._get_values(source, track))
                for (name, track), times in self._times.items()
                if name == source
            ]
            path = places.choose(folder / f"{pathlib.PurePath(source).stem}{ENDING}", source)
            # A file name that is not UTF-8 shows its bytes as escapes.
            title = pathlib.PurePath(source).name.encode("utf-8", "backslashreplace").decode()
            with forgiving(path.name):
                save(draw_expressions(curves, self._classes, title), path, texts={PNG_KEY: create_mark(source)})
                paths.append(path)
        return paths

    def _get_values(self, source: str, track: int) -> np.ndarray:
        return np.array(self._values[source, track], np.float32).reshape(-1, len(self._classes))
