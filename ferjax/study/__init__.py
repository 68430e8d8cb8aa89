"""Repeated runs, and settings side by side -> statistics, paired tests, tables, figures and one page."""

from ferjax.study.drawing import draw_study
from ferjax.study.files import write_study
from ferjax.study.runs import is_run, list_runs, mark_copies
from ferjax.study.study import Study, load_study
from ferjax.study.text import format_group

__all__ = ["Study", "draw_study", "format_group", "is_run", "list_runs", "load_study", "mark_copies", "write_study"]
