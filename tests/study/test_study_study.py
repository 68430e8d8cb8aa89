import json

import pytest
from written_runs import write_run

from ferjax.errors import UserError
from ferjax.study.folders import find_runs
from ferjax.study.study import load_study
from ferjax.versions import NUMBER_TYPE


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


def test_settings_whose_names_differ_by_a_sign_keep_their_own_figures(tmp_path):
    for name in ("rate 1", "rate_1"):
        write_run(tmp_path / name, 0)
    assert len({summary.slug for summary in load_study([tmp_path]).summaries}) == 2


def test_nothing_finished_is_said(setting):
    for path in setting.glob("*/predictions.csv"):
        path.unlink()
    with pytest.raises(UserError, match="holds 3 runs, none of them finished"):
        load_study([setting])


def test_free_keys_may_differ_but_a_stop_is_said(tmp_path):
    for seed in (0, 1):
        path = {"data.path": f"elsewhere_{seed}.csv"}
        write_run(tmp_path / "short" / f"seed_{seed}", seed, changes={"train.steps": 7, **path})
    study = load_study([tmp_path])
    assert f"{tmp_path / 'short' / 'seed_1'}: stops after train.steps = 7" in study.notes


def test_seeds_that_trained_in_other_number_types_are_said(setting):
    def start(folder, trained):
        starts = [{"step": 0}, {"step": 9, "numbers_depend_on": {NUMBER_TYPE: trained}}]
        (setting / folder / "versions.json").write_text(json.dumps(starts))

    start("seed_0", "float32")
    assert not any("number type" in note for note in load_study([setting]).notes)
    start("seed_1", "bfloat16")
    start("seed_2", "float32")
    said = "not all seeds trained in one number type (float32: seed_0, seed_2; bfloat16: seed_1)"
    assert f"optimal: {said}, so they differ by more than the seed" in load_study([setting]).notes


def test_a_run_without_metrics_and_a_lone_seed_are_said(setting):
    (setting / "seed_1" / "metrics.jsonl").unlink()
    notes = load_study([setting]).notes
    assert f"{setting / 'seed_1'}: without metrics.jsonl, so it is in no curves" in notes
    assert "optimal: one seed, so there is no deviation and no interval" in load_study([setting / "seed_0"]).notes
