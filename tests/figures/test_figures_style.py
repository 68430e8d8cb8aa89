"""Figures are the same whatever the user has set for plots of their own, and none costs a report."""

import os
import pathlib
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from written_numbers import make_curve

from ferjax import figures
from ferjax.errors import UserError
from ferjax.figures import style

SOURCES = pathlib.Path(figures.__file__).parent
SETTINGS = {"text.usetex": True, "font.family": "no such font", "figure.dpi": 7, "axes.unicode_minus": False}


def draw(names=("a$$b", "$x$", "_a")):
    settings = {name: [make_curve([1, 2], [0.1, 0.2])] for name in names}
    return figures.draw_validation_curves("of $1 and \\alpha", settings)


def test_names_are_drawn_as_they_are(tmp_path):
    figure = draw()
    figures.save(figure, tmp_path / "figure.png")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a$$b", "$x$", "_a"]
    values = {name: np.array([0.5, 0.6]) for name in ("a$$b", "$x$", "_a", "日本")}
    figures.save(figures.draw_accuracies("$", values, {}, {}, ""), tmp_path / "figure.png")


def test_a_users_settings_change_no_figure(tmp_path):
    figures.save(draw(), tmp_path / "ours.png")
    with matplotlib.rc_context(SETTINGS):
        figures.save(draw(), tmp_path / "theirs.png")
        assert matplotlib.rcParams["text.usetex"]
    assert (tmp_path / "ours.png").read_bytes() == (tmp_path / "theirs.png").read_bytes()


def test_every_figure_is_drawn_in_the_own_look():
    drawing = [value for name, value in vars(figures).items() if name.startswith("draw_") and name != "draw_all"]
    assert len(drawing) > 8
    assert [function.__name__ for function in drawing if not hasattr(function, "__wrapped__")] == []


def test_no_other_room_imports_matplotlib():
    room = SOURCES.parent
    others = [path for path in room.rglob("*.py") if SOURCES not in path.parents]
    assert [
        str(path) for path in others if "import matplotlib" in path.read_text() or "from matplotlib" in path.read_text()
    ] == []


@pytest.mark.parametrize("backend", ["module://no_such_module.backend", "no_such_backend", "TkAgg"])
def test_matplotlib_is_imported_whatever_the_environment_says_of_showing(backend):
    program = "import os, ferjax.figures; print(os.environ['MPLBACKEND'])"
    environment = {**os.environ, "MPLBACKEND": backend}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == (backend, 0), done.stderr


def test_a_figure_that_fails_costs_no_more_than_itself(caplog):
    with style.forgiving("curves.png"):
        raise RuntimeError("latex could not be found")
    assert "The figure curves.png is left out, since drawing it failed: RuntimeError: latex could" in caplog.text
    with pytest.raises(UserError), style.forgiving("curves.png"):
        raise UserError("metrics.jsonl is broken")
    with pytest.raises(OSError, match="full"), style.forgiving("curves.png"):
        raise OSError("full")
