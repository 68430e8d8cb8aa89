import pathlib

import numpy as np
import pytest
from written_runs import N, edit_json, write_run

from ferjax.errors import UserError
from ferjax.report import read_predictions, write_predictions
from ferjax.study.runs import find_runs, load_setting, natural_key
from ferjax.study.study import load_study


def test_a_study_is_found_whatever_its_depth(study_folder):
    runs = find_runs([study_folder])
    assert len(runs) == 12
    for folders in ([study_folder], [study_folder, study_folder / "optimal"], [*study_folder.iterdir()]):
        study = load_study(folders)
        assert {s.name: s.seeds for s in study.summaries} == {
            "optimal": [0, 1, 2],
            "no_augmentation": [0, 1],
            "batch32": [0, 1, 2],
            "lr_1e_3": [0, 1, 2],
        }
        assert [run.name for run in study.unfinished] == ["seed_2"]
        assert any("no_augmentation/seed_2: not finished, left out" in note for note in study.notes)


def test_a_setting_and_single_runs_can_be_named(setting, tmp_path):
    (summary,) = load_study([setting]).summaries
    assert (summary.name, summary.seeds) == ("optimal", [0, 1, 2])
    (summary,) = load_study([setting / "seed_1", setting / "seed_0"]).summaries
    assert (summary.name, summary.seeds) == ("optimal", [0, 1])
    write_run(tmp_path / "quick", 0)
    write_run(tmp_path / "big", 0, changes={"model.name": "vgg16"})
    names = [s.name for s in load_study([tmp_path / "quick", tmp_path / "big", setting]).summaries]
    assert sorted(names) == ["big", "optimal", "quick"]


def test_settings_of_one_name_are_told_apart(setting, tmp_path):
    write_run(tmp_path / "later" / "optimal" / "seed_0", 0)
    names = [s.name for s in load_study([setting, tmp_path / "later"]).summaries]
    assert names == [f"{tmp_path.name}/optimal", "later/optimal"]


def test_runs_too_deep_hidden_or_in_checkpoints_are_not_found(tmp_path):
    write_run(tmp_path / "a" / "b" / "c", 0)
    for hidden in ("a/b/d/e", "checkpoints/b", ".hidden/b", "tensorboard/b", "figures/b"):
        write_run(tmp_path / hidden, 1)
    write_run(tmp_path / "a" / "b" / "c" / "inside", 2)
    assert find_runs([tmp_path]) == [tmp_path / "a" / "b" / "c"]


def test_numbers_in_names_sort_as_numbers():
    assert sorted(["batch32", "batch2048", "batch2", "a", "7"], key=natural_key) == [
        "7",
        "a",
        "batch2",
        "batch32",
        "batch2048",
    ]


def test_folders_without_runs_are_named(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=rf"{folder} (holds no run|is not a folder).*--workdir {folder}'"):
            find_runs([folder])


def test_nothing_finished_is_said(setting):
    for path in setting.glob("*/predictions.csv"):
        path.unlink()
    with pytest.raises(UserError, match="holds 3 runs, none of them finished"):
        load_study([setting])


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


def test_free_keys_may_differ_but_a_stop_is_said(setting):
    write_run(setting / "seed_2", 2, changes={"train.steps": 7, "data.path": "elsewhere.csv"})
    study = load_study([setting])
    assert f"{setting / 'seed_2'}: stops after train.steps = 7" in study.notes


def test_a_run_without_metrics_and_a_lone_seed_are_said(setting):
    (setting / "seed_1" / "metrics.jsonl").unlink()
    notes = load_study([setting]).notes
    assert f"{setting / 'seed_1'}: without metrics.jsonl, so it is in no curves" in notes
    assert "optimal: one seed, so there is no deviation and no interval" in load_study([setting / "seed_0"]).notes


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", None, r"config\.json cannot be read"),
        ("config.json", "{", r"config\.json cannot be read"),
        ("config.json", "[]", r"config\.json is not a run's config"),
        ("config.json", '{"train": {}}', r"config\.json is not a run's config"),
        ("data.json", None, r"data\.json cannot be read"),
        ("data.json", "{}", r"data\.json lacks the digest"),
        ("data.json", '{"digest": "d", "copies": {"test": ["x"]}}', r"data\.json: 'copies' is not"),
        ("data.json", '{"digest": "d", "copies": 3}', r"data\.json: 'copies' is not"),
        ("predictions.csv", "", r"predictions\.csv, line 1"),
    ],
)
def test_a_broken_file_is_named(setting, name, content, message):
    path = setting / "seed_0" / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=message):
        load_study([setting])


def test_copies_mark_the_rows_that_data_json_lists(setting):
    folders = sorted(setting.iterdir())
    run = load_setting("optimal", folders).runs[0]
    assert run.copied.tolist() == [True, True] + [False] * (N - 2)
    edit_json(folders[0] / "data.json", copies={"validation": [100]})
    assert load_setting("optimal", folders).runs[0].copied is None
    # Copies known of some seeds only: no score without copies, since it would be of fewer seeds than n says.
    (summary,) = load_study([setting]).summaries
    assert not any("without_copies" in score.metric for score in summary.scores)


def test_scores_without_copies_leave_those_images_out(setting):
    (summary,) = load_study([setting]).summaries
    run = summary.setting.runs[0]
    right = run.probabilities.argmax(axis=1) == run.labels
    assert summary.get("accuracy_without_copies").values[0] == right[2:].mean()
    assert summary.get("accuracy").values[0] == right.mean() == (N - 10) / N
    assert summary.copies == 2
    np.testing.assert_allclose(
        summary.get_correctness(),
        np.mean([r.probabilities.argmax(axis=1) == r.labels for r in summary.setting.runs], axis=0),
    )
