"""The report on a run that has come to its end, from what training saved in its folder."""

import pathlib

from ferjax.report.copies import mark_copies
from ferjax.report.predictions import Predictions, read_predictions
from ferjax.report.scores import Report, create_report
from ferjax.workdir import DATA_FILE, PREDICTIONS_FILE


def report_run(workdir: pathlib.Path) -> Report:
    """Return the report on a run. Raises UserError for a folder without predictions or with a broken file."""
    return report_predictions(workdir, read_predictions(workdir / PREDICTIONS_FILE))


def report_predictions(workdir: pathlib.Path, predictions: Predictions) -> Report:
    """Return the report on the predictions of a run, which says what copies training held. Raises UserError."""
    return create_report(
        predictions.labels,
        predictions.probabilities,
        predictions.split,
        classes=predictions.classes,
        copied=mark_copies(workdir / DATA_FILE, predictions.split, predictions.row),
    )
