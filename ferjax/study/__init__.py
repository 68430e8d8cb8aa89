"""Repeated runs, and settings side by side: statistics, paired tests, tables, figures and one page."""

from ferjax.study.drawing import draw_study
from ferjax.study.evaluation import EvaluatedRun, EvaluatedStudy, evaluate_run, evaluate_study
from ferjax.study.files import write_study
from ferjax.study.folders import has_repeats, is_run
from ferjax.study.reference import Reference
from ferjax.study.study import Study, load_study
from ferjax.study.terminal import format_group

__all__ = [
    "EvaluatedRun",
    "EvaluatedStudy",
    "Reference",
    "Study",
    "draw_study",
    "evaluate_run",
    "evaluate_study",
    "format_group",
    "has_repeats",
    "is_run",
    "load_study",
    "write_study",
]
