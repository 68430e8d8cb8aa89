"""What all figures share: colours, resolution, the look of axes, title and legend, and how the file is written.

The colours are those of Okabe and Ito, which colour-blind readers tell apart. Figures are built as objects, without
pyplot, so that drawing leaves no state behind and can happen beside a training loop. The settings that a user has for
plots of their own, such as LaTeX or a backend for notebooks, change nothing of them.
"""

import contextlib
import contextvars
import functools
import logging
import os
import pathlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, ParamSpec, TypeVar

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ferjax.errors import UserError
from ferjax.files import replacing

logger = logging.getLogger("ferjax")

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

BLUE, ORANGE, GREEN, GRAY, INK = "#0072B2", "#D55E00", "#009E73", "#8A8A8A", "#222222"
# Yellow is left out: on white paper a thin line of it cannot be seen.
PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", INK)
DASHES = (0, (4, 3))  # of lines that mark a value
DPI = 144


_has_own_look = contextvars.ContextVar("_has_own_look", default=False)


@contextlib.contextmanager
def own_look() -> Iterator[None]:
    """Draw by matplotlib's own defaults within the block, and names as they stand, even those with dollar signs."""
    if _has_own_look.get():  # setting all of them again for each of many figures would take a tenth of the time
        yield
        return
    token = _has_own_look.set(True)
    try:
        with matplotlib.style.context("default"), matplotlib.rc_context({"text.parse_math": False}):
            yield
    finally:
        _has_own_look.reset(token)


def styled(draw: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Make a function draw in `own_look`; every one that makes a figure is decorated so."""

    @functools.wraps(draw)
    def draw_styled(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with own_look():
            return draw(*args, **kwargs)

    return draw_styled


@contextlib.contextmanager
def forgiving(name: str) -> Iterator[None]:
    """Let a figure that cannot be drawn in the block cost no more than itself: a warning says which, and why.

    Only for what is drawn from numbers that were read already; what the user or the disk is to blame for still ends
    the command.
    """
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:  # matplotlib's layout and fonts fail in many ways
        logger.warning("The figure %s is left out, since drawing it failed: %s: %s", name, type(error).__name__, error)


def tidy(axes: Axes, grid: Literal["both", "x", "y"] = "both") -> None:
    """Give axes two spines, a faint grid behind the data and small tick labels."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, axis=grid, color="#E4E4E4", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)


def set_title(figure: Figure, title: str, y: float | None = None) -> None:
    """Set the title of a whole figure, at a height `y` in 0..1 where its layout does not find one."""
    figure.suptitle(title, fontsize=12, color=INK, y=y)


def arrange(
    figure: Figure, title: str, *, left: float, bottom: float = 0.46, right: float = 0.05, above: float = 0.0
) -> None:
    """Set the title, and leave so many inches around the axes, and `above` between them and the title.

    Where the labels' sizes are known, this is what matplotlib's constrained layout finds by measuring every text twice,
    which takes longer than drawing them.
    """
    width, height = figure.get_size_inches()
    set_title(figure, title, y=1 - 0.042 / height)
    top = 0.13 + 0.2 * len(title.splitlines()) + above
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height)


def add_legend(axes: Axes) -> None:
    """Add a legend where the axes show any line."""
    if axes.lines:
        axes.legend(frameon=False, fontsize=9)


def choose_marker(n: int) -> str:
    """Choose a dot for each of few points, since a line through one point would be invisible, and none for many."""
    return "o" if n <= 20 else ""


def save(figure: Figure, path: pathlib.Path, dpi: int = DPI, texts: Mapping[str, str] | None = None) -> None:
    """Write a figure as PNG with these texts in it, whole or not at all; the bytes depend on the data alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside, own_look(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a name in a script that the font lacks
        figure.set_dpi(dpi)
        # savefig would go through all artists twice, the first time to lay them out, which a draw does by itself.
        # Without the metadata matplotlib would write its version into the file.
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(os.fspath(beside), metadata={"Software": None, **(texts or {})})
