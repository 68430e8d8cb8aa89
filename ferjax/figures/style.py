"""What all figures share: colours, resolution, the look of axes, title and legend, and how the file is written.

The colours are those of Okabe and Ito, which colour-blind readers tell apart. Figures are built as objects, without
pyplot, so that drawing leaves no state behind and can happen beside a training loop.
"""

import pathlib
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferjax.files import replacing

BLUE, ORANGE, GREEN, GRAY, INK = "#0072B2", "#D55E00", "#009E73", "#8A8A8A", "#222222"
# Yellow is left out: on white paper a thin line of it cannot be seen.
PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", INK)
DASHES = (0, (4, 3))  # of lines that mark a value
DPI = 144


def tidy(axes: Axes, grid: Literal["both", "x", "y"] = "both") -> None:
    """Give axes two spines, a faint grid behind the data and small tick labels."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, axis=grid, color="#E4E4E4", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)


def set_title(figure: Figure, title: str) -> None:
    """Set the title of a whole figure."""
    figure.suptitle(title, fontsize=12, color=INK)


def add_legend(axes: Axes) -> None:
    """Add a legend where the axes show any line."""
    if axes.lines:
        axes.legend(frameon=False, fontsize=9)


def choose_marker(n: int) -> str:
    """Choose a dot for each of few points, since a line through one point would be invisible, and none for many."""
    return "o" if n <= 20 else ""


def save(figure: Figure, path: pathlib.Path, dpi: int = DPI) -> None:
    """Write a figure as PNG, whole or not at all; the bytes depend on the data alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        # Without this matplotlib would write its version into the file.
        figure.savefig(beside, format="png", dpi=dpi, metadata={"Software": None})
