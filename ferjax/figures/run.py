"""The figures of one run, each drawn from files in its folder."""

import pathlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ferjax.figures.confusion import draw_confusion_matrix
from ferjax.figures.curves import draw_curves
from ferjax.figures.distribution import draw_class_distribution
from ferjax.figures.mistakes import draw_worst_mistakes
from ferjax.figures.style import forgiving, save, styled
from ferjax.report import read_report
from ferjax.workdir import DATA_FILE, FIGURES_FOLDER, METRICS_FILE, MISTAKES_FILE, PREDICTIONS_FILE, REPORT_FILE


class RunFigure(NamedTuple):
    """Which files of a run's folder a figure needs, and the function that draws it from the folder."""

    sources: tuple[str, ...]
    draw: Callable[[pathlib.Path], Figure]


@styled
def draw_confusion(workdir: pathlib.Path) -> Figure:
    """Draw the confusion matrix of a run."""
    report = read_report(workdir / REPORT_FILE)
    title = f"Confusion matrix, {report['split']} split, n = {report['n']:,}\naccuracy {report['accuracy']:.1%}"
    return draw_confusion_matrix(title, np.array([report["confusion"]], np.int64), list(report["per_class"]))


FIGURES: Mapping[str, RunFigure] = MappingProxyType(
    {
        "curves.png": RunFigure((METRICS_FILE,), draw_curves),
        "confusion.png": RunFigure((REPORT_FILE,), draw_confusion),
        "class_distribution.png": RunFigure((DATA_FILE,), draw_class_distribution),
        "worst_mistakes.png": RunFigure((MISTAKES_FILE, PREDICTIONS_FILE), draw_worst_mistakes),
    }
)


def draw_all(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Draw every figure whose sources the run has into workdir/figures, and return the paths of those that succeed.

    Raises UserError, with the file and what to do, for a source that is broken.
    """
    missing = find_missing_sources(workdir)
    drawn = []
    for name, figure in FIGURES.items():
        if name not in missing:
            path = workdir / FIGURES_FOLDER / name
            with forgiving(name):
                save(figure.draw(workdir), path)
                drawn.append(path)
    return drawn


def find_missing_sources(workdir: pathlib.Path) -> dict[str, tuple[str, ...]]:
    """Find the figures that cannot be drawn because a file is missing, each with the files that it needs."""
    return {
        name: figure.sources
        for name, figure in FIGURES.items()
        if not all((workdir / source).exists() for source in figure.sources)
    }
