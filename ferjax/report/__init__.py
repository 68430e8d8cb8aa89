"""The report on one run: from its saved predictions to scores, as JSON, Markdown, CSV and a table for the terminal."""

from ferjax.report.copies import mark_copies
from ferjax.report.finished import report_predictions, report_run
from ferjax.report.predictions import COLUMNS, Predictions, choose_worst, read_predictions, write_predictions
from ferjax.report.scores import Report, Scores, WithoutCopies, create_report
from ferjax.report.tables import describe_copies, format_table, read_report, standard_error, write_report

__all__ = [
    "COLUMNS",
    "Predictions",
    "Report",
    "Scores",
    "WithoutCopies",
    "choose_worst",
    "create_report",
    "describe_copies",
    "format_table",
    "mark_copies",
    "read_predictions",
    "read_report",
    "report_predictions",
    "report_run",
    "standard_error",
    "write_predictions",
    "write_report",
]
