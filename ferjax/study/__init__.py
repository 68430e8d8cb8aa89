"""Repeated runs, and settings side by side -> statistics, paired tests, tables, figures and one page."""

from ferjax.study.drawing import draw_study
from ferjax.study.files import write_study
from ferjax.study.folders import has_repeats, is_run
from ferjax.study.runs import mark_copies
from ferjax.study.study import Study, load_study
from ferjax.study.text import format_group

__all__ = ["Study", "draw_study", "format_group", "has_repeats", "is_run", "load_study", "mark_copies", "write_study"]
