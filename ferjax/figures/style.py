"""What every figure shares: colours, resolution, the look of axes, and how a file is written.

The colours are Okabe and Ito's, which colour-blind readers tell apart. Figures are built as objects, without pyplot, so
that drawing leaves no state behind and can happen beside a training loop.
"""

import pathlib
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferjax.files import replacing

BLUE, ORANGE, GREEN, GRAY, INK = "#0072B2", "#D55E00", "#009E73", "#8A8A8A", "#222222"
# Yellow is left out: on white paper a thin line of it can't be seen.
PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", INK)
DPI = 144


def tidy(axes: Axes, grid: Literal["both", "x", "y"] = "both") -> None:
    """Two spines, a faint grid behind the data, small tick labels."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, axis=grid, color="#E4E4E4", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)


def marker(n: int) -> str:
    """A dot a point while they are few: a line through one point would be invisible."""
    return "o" if n <= 20 else ""


def save(figure: Figure, path: pathlib.Path, dpi: int = DPI) -> None:
    """Writes a figure as PNG, whole or not at all; the bytes depend on the data alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        # The Software line would name matplotlib's version.
        figure.savefig(beside, format="png", dpi=dpi, metadata={"Software": None})
