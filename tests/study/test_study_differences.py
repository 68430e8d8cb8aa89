import pytest
from written_runs import edit_json, write_run

from ferjax.study.differences import find_changes, find_mismatch, list_changes
from ferjax.study.settings import load_setting


@pytest.fixture
def load(tmp_path):
    """A function that loads a setting of one written run."""

    def load_one(name, *, data=(), **changes):
        run = write_run(tmp_path / name, 0, **changes)
        edit_json(run / "data.json", **dict(data))
        return load_setting(name, [run])

    return load_one


def test_the_seed_is_no_change_and_the_length_of_training_is_one(load):
    baseline = load("a")
    assert find_changes(baseline.config, load("b", changes={"train.seed": 7}).config) == {}
    changed = load("c", changes={"train.steps": 9, "model.dropout": 0.25})
    assert list(find_changes(baseline.config, changed.config)) == ["model.dropout", "train.steps"]


def test_other_data_is_a_change_where_no_key_explains_it(load):
    baseline, other = load("a"), {"digest": "e"}
    assert list_changes(baseline, load("b", data=other)) == ("other data (faces.csv, 35,887 rows with other content)",)
    (said,) = list_changes(baseline, load("c", data=other, changes={"data.dedup": "exact"}))
    assert said.startswith("data.dedup: ")


def test_runs_of_other_splits_cannot_be_compared(load):
    runs = [load("a").runs[0], load("b", split="validation").runs[0]]
    assert find_mismatch(runs[0], runs[0]) == ""
    assert find_mismatch(*runs) == "different splits (test, validation)"
