import pathlib

import pytest
from written_runs import edit_json, write_run

from ferjax.errors import UserError
from ferjax.report import read_predictions, write_predictions
from ferjax.study.study import load_study


def move_rows(folder: pathlib.Path, *, by=0, label_of_first=None, split=None):
    old = read_predictions(folder / "predictions.csv")
    labels = old.labels.copy()
    if label_of_first is not None:
        labels[0] = label_of_first
    write_predictions(
        folder / "predictions.csv",
        row=old.row + by,
        split=split or old.split,
        labels=labels,
        probabilities=old.probabilities,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda run: write_run(run, 2, changes={"optim.groups": [[".*", 0.5]]}),
            r"differ by more than the seed \(optim\.groups: \[\[\"\.\*\", 1\.0\]\] -> \[\[\"\.\*\", 0\.5\]\]\)",
        ),
        (lambda run: write_run(run, 2, changes={"train.steps": 7}), r"by more than the seed \(train\.steps: 0 -> 7\)"),
        (lambda run: write_run(run, 1), "same train.seed, 1"),
        (lambda run: edit_json(run / "data.json", digest="other"), "trained on different data"),
        (lambda run: move_rows(run, by=1), "evaluated on different rows of the test split"),
        (lambda run: move_rows(run, label_of_first=3), "evaluated on the same rows with different labels"),
        (lambda run: move_rows(run, split="validation"), r"evaluated on different splits \(test, validation\)"),
    ],
)
def test_runs_that_are_no_repeats_are_named_with_what_differs(setting, change, message):
    change(setting / "seed_2")
    with pytest.raises(UserError, match=message) as error:
        load_study([setting])
    assert str(setting / "seed_2") in str(error.value)
    assert f"{setting / 'seed_0'} and" in str(error.value) or f"{setting / 'seed_1'} and" in str(error.value)
