import json
import pathlib

import numpy as np
import pytest
from written_runs import N, edit_json, write_run

from ferjax.errors import UserError
from ferjax.report import read_predictions, write_predictions
from ferjax.study.folders import create_slugs, find_runs, natural_key
from ferjax.study.settings import load_setting
from ferjax.study.study import load_study


def test_a_study_is_found_whatever_its_depth(study_folder):
    assert len(find_runs([study_folder]).runs) == 12
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
    assert find_runs([tmp_path]).runs == [tmp_path / "a" / "b" / "c"]


def test_repeats_inside_a_run_are_the_setting(setting, tmp_path):
    write_run(setting, 7)
    (summary,) = (study := load_study([tmp_path])).summaries
    assert (summary.name, summary.seeds) == ("optimal", [0, 1, 2])
    (note,) = [note for note in study.notes if note.startswith(f"{setting}: ")]
    assert "itself is left out" in note
    assert str(setting / "report.md") in note
    assert load_study([setting]).summaries[0].seeds == [0, 1, 2]
    # While no repeat is finished, the run is all that there is.
    for path in setting.glob("*/predictions.csv"):
        path.unlink()
    (summary,) = (study := load_study([tmp_path])).summaries
    assert (summary.name, summary.seeds) == ("optimal", [7])
    assert len(study.unfinished) == 3


def test_lone_runs_of_one_folder_are_settings_of_their_own(setting, tmp_path):
    write_run(tmp_path / "compact", 0, changes={"model.name": "compact"})
    write_run(tmp_path / "random", 0, config="random_init", changes={"model.dropout": 0.5})
    for folders in ([tmp_path], [tmp_path / "compact", tmp_path / "random", setting]):
        (group,) = load_study(folders).groups
        assert group.baseline.name == "compact"
        assert {s.name: s.seeds for s in group.members} == {"optimal": [0, 1, 2], "compact": [0], "random": [0]}


@pytest.mark.parametrize("file", ["optuna.journal", "description.json"])
def test_the_trials_of_a_search_are_left_out_and_said(setting, tmp_path, file):
    trial = write_run(tmp_path / "rates" / "trials" / "learning_rate=0.1", 0)
    (tmp_path / "rates" / file).write_text("")
    study = load_study([tmp_path])
    assert [summary.name for summary in study.summaries] == ["optimal"]
    (note,) = [note for note in study.notes if "search" in note]
    assert note.startswith(f"{tmp_path / 'rates'}: ")
    with pytest.raises(UserError, match=rf"no runs but a search's, .* name {trial.parent}"):
        load_study([tmp_path / "rates"])
    assert [summary.name for summary in load_study([trial.parent]).summaries] == [trial.name]


def test_slugs_of_different_names_differ():
    assert create_slugs(["a/b", "a b", "a_b", "a-b", "A_b_2", "c"]) == [
        "a_b",
        "a_b_2",
        "a_b_3",
        "a-b_4",
        "A_b_2_2",
        "c",
    ]


def test_settings_whose_names_differ_by_a_sign_keep_their_own_figures(tmp_path):
    for name in ("rate 1", "rate_1"):
        write_run(tmp_path / name, 0)
    assert len({summary.slug for summary in load_study([tmp_path]).summaries}) == 2


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


def test_free_keys_may_differ_but_a_stop_is_said(tmp_path):
    for seed in (0, 1):
        path = {"data.path": f"elsewhere_{seed}.csv"}
        write_run(tmp_path / "short" / f"seed_{seed}", seed, changes={"train.steps": 7, **path})
    study = load_study([tmp_path])
    assert f"{tmp_path / 'short' / 'seed_1'}: stops after train.steps = 7" in study.notes


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
        ("data.json", "[]", r"data\.json lacks the digest"),
        ("predictions.csv", "", r"predictions\.csv, line 1"),
    ],
)
def test_a_broken_file_is_named(setting, name, content, message):
    path = setting / "seed_0" / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=message):
        load_study([setting])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train", 3),
        ("train.seed", "0"),
        ("train.steps", None),
        ("train.steps", 1.5),
        ("train.epochs", True),
        ("model.name", 3),
        ("model.width", "wide"),
        ("model.pretrained", None),
        ("data.split", []),
    ],
)
@pytest.mark.parametrize("missing", [False, True])
def test_a_config_that_lacks_what_is_read_is_named(setting, key, value, missing):
    path = setting / "seed_0" / "config.json"
    config = json.loads(path.read_text())
    *groups, name = key.split(".")
    holder = config[groups[0]] if groups else config
    holder[name] = value
    if missing:
        del holder[name]
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=rf"{path} is not a run's config, for .*{key}.*: train again .* leave that run"):
        load_study([setting])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("path", 3),
        ("counts", [3]),
        ("counts", {"train": 3}),
        ("counts", {"train": ["x"]}),
        ("skipped", 3),
        ("copies", {"test": ["x"]}),
        ("copies", {"test": 3}),
        ("copies", {"test": [1.5]}),
        ("copies", 3),
    ],
)
def test_a_description_of_the_data_that_is_broken_is_named(setting, key, value):
    edit_json(setting / "seed_0" / "data.json", **{key: value})
    with pytest.raises(UserError, match=rf"data\.json.*{key}.*: train again .* or leave that run out"):
        load_study([setting])


@pytest.mark.parametrize("key", ["path", "counts", "skipped", "digest"])
def test_a_description_of_the_data_that_lacks_a_key_is_named(setting, key):
    path = setting / "seed_0" / "data.json"
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != key}))
    with pytest.raises(UserError, match=rf"data\.json.*{key}.*: train again"):
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
