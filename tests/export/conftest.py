import shutil

import pytest

from ferjax import report


@pytest.fixture(scope="session")
def reported_run(finished_run, tmp_path_factory):
    """A tiny run's folder with the report that the training command makes of the predictions."""
    folder = shutil.copytree(finished_run, tmp_path_factory.mktemp("reported") / "run")
    found = report.read_predictions(folder / "predictions.csv")
    copied = report.mark_copies(folder / "data.json", found.split, found.row)
    scores = report.create_report(found.labels, found.probabilities, found.split, classes=found.classes, copied=copied)
    report.write_report(folder, scores)
    return folder
