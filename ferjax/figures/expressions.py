"""Expressions over the time of a video, a row of curves for each face."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferjax.figures.style import PALETTE, set_title, styled, tidy

# So many faces are drawn at most, those that are seen longest.
MOST_FACES = 6
# A curve of more points is drawn by the means of as many equal spans of time: a figure has no more pixels.
_MOST_POINTS = 1200
# A face that is away for longer is not drawn through.
_GAP_S = 1.0


@dataclasses.dataclass(frozen=True, eq=False)
class FaceCurve:
    """One face's times in seconds, and its probabilities at each of them."""

    name: str
    time_s: Float[np.ndarray, " t"]
    probabilities: Float32[np.ndarray, "t k"]


@styled
def draw_expressions(curves: Sequence[FaceCurve], classes: Sequence[str], title: str) -> Figure:
    """Draw the probability of every class over time, for the faces that are seen longest, in order of their first."""
    longest = sorted(curves, key=lambda curve: len(curve.time_s), reverse=True)[:MOST_FACES]
    shown = sorted(longest, key=lambda curve: float(curve.time_s[0]) if len(curve.time_s) else 0.0)
    rows = max(1, len(shown))
    figure = Figure(figsize=(10, 1.2 + 2.1 * rows), layout="constrained")
    grid = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for axes, curve in zip(grid, shown, strict=False):
        _draw_face(axes, curve, classes)
    grid[-1].set_xlabel("time (s)")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(8, len(classes)), frameon=False, fontsize=9)
    rest = len(curves) - len(shown)
    set_title(figure, title + (f"\nthe {len(shown)} faces seen longest; {rest} more are in the table" if rest else ""))
    return figure


def _draw_face(axes: Axes, curve: FaceCurve, classes: Sequence[str]) -> None:
    time_s, values = _thin(curve.time_s, curve.probabilities)
    # A point of nothing in each gap breaks the line there.
    breaks = np.nonzero(np.diff(time_s) > max(_GAP_S, 3 * float(np.median(np.diff(time_s))) if len(time_s) > 2 else 0))[
        0
    ]
    time_s = np.insert(time_s, breaks + 1, time_s[breaks] + 1e-6)
    values = np.insert(values, breaks + 1, np.nan, axis=0)
    marker = "o" if len(time_s) <= 2 else ""
    for k, name in enumerate(classes):
        style = "-" if k < len(PALETTE) else "--"
        axes.plot(time_s, 100 * values[:, k], style, color=PALETTE[k % len(PALETTE)], label=name, lw=1.4, marker=marker)
    axes.set_ylim(0, 100)
    axes.set_ylabel(f"{curve.name}\nprobability (%)", fontsize=9)
    tidy(axes)


def _thin(
    time_s: Float[np.ndarray, " t"], values: Float32[np.ndarray, "t k"]
) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, "s k"]]:
    """Return means over spans of time where there are more points than can be seen."""
    values = values.astype(np.float64)
    if len(time_s) <= _MOST_POINTS:
        return time_s, values
    span = np.minimum(((time_s - time_s[0]) / (time_s[-1] - time_s[0]) * _MOST_POINTS).astype(int), _MOST_POINTS - 1)
    used, place, counts = np.unique(span, return_inverse=True, return_counts=True)
    means = np.zeros((len(used), values.shape[1]))
    np.add.at(means, place, values)
    times = np.bincount(place, time_s) / counts
    return times, means / counts[:, None]
