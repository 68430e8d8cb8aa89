"""Figures, drawn from saved numbers; the only room that knows matplotlib."""

import ferjax.figures.backend  # noqa: F401, I001 - first: it imports matplotlib whatever MPLBACKEND says

from matplotlib.figure import Figure

from ferjax.figures.curves import Curve, draw_curves, read_curves
from ferjax.figures.distribution import draw_class_distribution
from ferjax.figures.mistakes import draw_worst_mistakes
from ferjax.figures.run import FIGURES, RunFigure, draw_all, draw_confusion, find_missing_sources
from ferjax.figures.setting import draw_class_scores, draw_mean_confusion, draw_reliability, draw_seed_curves
from ferjax.figures.study import draw_accuracies, draw_validation_curves
from ferjax.figures.style import forgiving, save, styled

__all__ = [
    "FIGURES",
    "Curve",
    "Figure",
    "RunFigure",
    "draw_accuracies",
    "draw_all",
    "draw_class_distribution",
    "draw_class_scores",
    "draw_confusion",
    "draw_curves",
    "draw_mean_confusion",
    "draw_reliability",
    "draw_seed_curves",
    "draw_validation_curves",
    "draw_worst_mistakes",
    "find_missing_sources",
    "forgiving",
    "read_curves",
    "save",
    "styled",
]
