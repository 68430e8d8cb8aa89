"""The course report of 2023: its settings, its figures and its words, to set beside the runs of a study."""

from ferjax.course_report.published import CourseReport

__all__ = ["CourseReport"]
