"""A run's folder: what it says, what may change in it, and what a new start removes."""

import errno
import json
import os
import pathlib

import filelock
import pytest

from ferjax.config import create_default, resolve, upgrade
from ferjax.data import split
from ferjax.data.datasets.synthetic import draw
from ferjax.errors import UserError
from ferjax.workdir import REPORT_FILES, RUN_FIGURES, Workdir, describe_data


@pytest.fixture
def facts():
    rows = draw(70)
    return describe_data(rows, split(rows))


@pytest.fixture
def begun(tmp_path, facts):
    """A folder in which a run with the default config has begun and saved."""
    workdir = Workdir(tmp_path / "run")
    workdir.folder.mkdir()
    workdir.begin(change({}), facts, {"step": 0})
    (workdir.checkpoints / "step_3").mkdir(parents=True)
    return workdir


def change(changes):
    config = resolve(create_default())
    config.update_from_flattened_dict(changes)
    return config


def refuse(workdir, changes, facts, **more):
    with pytest.raises(UserError) as told:
        workdir.check(change(changes), facts, **{"allow_change": False, **more})
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("step_3", True),
        ("step_30_validated", True),
        ("12", True),
        ("step_3.orbax-checkpoint-tmp-1", False),
        ("12.orbax-checkpoint-tmp-1", False),
        (".trash", False),
        ("step_", False),
        ("step_3_other", False),
        ("notes", False),
    ],
)
def test_which_folders_are_checkpoints(tmp_path, name, there):
    workdir = Workdir(tmp_path)
    assert not workdir.has_checkpoint()
    workdir.checkpoints.mkdir()
    assert not workdir.has_checkpoint()
    (workdir.checkpoints / name).mkdir()
    assert workdir.has_checkpoint() is there
    from ferjax.training.places import list_places

    assert bool(list_places(workdir.checkpoints)) is there


def test_a_free_key_may_change(begun, facts):
    changes = {"train.steps": 9, "data.path": "moved.csv", "eval.views": "mirror", "train.log_every_steps": 3}
    assert begun.check(change(changes), facts, allow_change=False) == ""


def test_a_key_to_ask_about(begun, facts):
    changes = {"optim.learning_rate": 1e-3, "train.epochs": 9, "eval.views": "mirror"}
    said = "optim.learning_rate: 0.0001 -> 0.001; train.epochs: 50 -> 9"
    sentence = refuse(begun, changes, facts)
    assert sentence == (
        f"{begun.folder} was made with another config ({said}): use another --workdir, or --allow_config_change to go "
        "on from its checkpoint with the new one."
    )
    assert begun.check(change(changes), facts, allow_change=True) == said


def test_a_key_that_can_never_change(begun, facts):
    changes = {"train.seed": 1, "train.epochs": 9}
    for allow in (False, True):
        sentence = refuse(begun, changes, facts, allow_change=allow)
        assert sentence == (
            f"{begun.folder} was made with another config, and cannot go on with this one (train.seed: 0 -> 1; "
            "train.epochs: 50 -> 9): use another --workdir."
        )


def test_other_data_can_never_be_gone_on_with(begun):
    rows = draw(70, seed=1)
    others = describe_data(rows, split(rows)) | {"path": "others.csv"}
    for allow in (False, True):
        sentence = refuse(begun, {}, others, allow_change=allow)
        assert "cannot go on with this one (the data set: synthetic -> others.csv)" in sentence


def test_the_same_rows_in_another_place_are_the_same_data(begun, facts):
    assert begun.check(change({}), {**facts, "path": "moved.csv", "notes": ["odd"]}, allow_change=False) == ""


def test_a_folder_without_a_checkpoint_may_begin_anew(begun, facts):
    (begun.checkpoints / "step_3").rmdir()
    assert begun.check(change({"train.seed": 1}), {**facts, "digest": "other"}, allow_change=False) == ""
    assert Workdir(begun.folder / "nowhere").check(change({}), facts, allow_change=False) == ""


def test_an_older_config_goes_on(begun, facts):
    """A key that it lacks has its default, and one that has moved is where it is now."""
    saved = json.loads(begun.config.read_text())
    del saved["optim"]["average_decay"], saved["optim"]["name"], saved["input"], saved["init"]
    saved["data"] |= {"scaling": "minmax", "normalize": True}
    saved["model"]["pretrained"] = "none"
    saved["eval"] = {"batch_size": 256, "split": "auto", "mirror": False}
    begun.config.write_text(json.dumps(saved))
    assert begun.read_config() == upgrade({})
    assert begun.check(change({}), facts, allow_change=False) == ""
    said = "optim.average_decay: 0.0 -> 0.9"
    assert said in refuse(begun, {"optim.average_decay": 0.9}, facts)
    # The facts of its data are of before there were images of other sizes.
    old = {key: value for key, value in facts.items() if key not in ("image_shape", "copies", "counts")}
    begun.data.write_text(json.dumps(old))
    assert begun.read_data() == {**facts, "copies": {}, "counts": {}, "image_shape": [48, 48, 1]}
    assert begun.check(change({}), facts, allow_change=False) == ""


def test_a_start_removes_an_earlier_ones_results_and_keeps_the_rest(begun, facts):
    begun.figures.mkdir()
    gone = [begun.predictions, begun.worst_mistakes, *(begun.folder / name for name in REPORT_FILES)]
    gone += [begun.figures / name for name in RUN_FIGURES]
    kept = [begun.metrics, begun.pretrained, begun.figures / "mine.png", begun.folder / "notes.txt"]
    for path in (*gone, *kept):
        path.write_text("{}")
    begun.begin(change({"train.epochs": 9}), {**facts, "path": "moved.csv"}, {"step": 3})
    assert not [path for path in gone if path.exists()]
    assert [path for path in kept if path.exists()] == kept
    assert (begun.checkpoints / "step_3").is_dir()
    assert begun.read_config()["train.epochs"] == 9
    assert begun.read_data()["path"] == "moved.csv"
    assert json.loads(begun.versions.read_text()) == [{"step": 0}, {"step": 3}]


def test_what_is_known_of_the_data(facts, begun):
    assert begun.read_data() == facts
    assert facts["image_shape"] == [48, 48, 1]
    assert {name: sum(counts) for name, counts in facts["counts"].items()} == {"train": 56, "validation": 7, "test": 7}
    rows = draw(70)
    assert describe_data(rows, split(rows)) == facts
    assert describe_data(rows, split(rows, "stratified"))["digest"] != facts["digest"]


@pytest.mark.parametrize("content", ["", "{", "[]", "3"])
def test_a_broken_config_is_one_sentence(begun, facts, content):
    begun.config.write_text(content)
    for act in (begun.read_config, lambda: begun.check(change({}), facts, allow_change=True)):
        with pytest.raises(UserError, match=r"config\.json .*: delete it, or use another --workdir\.$") as told:
            act()
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"digest": "d"}'])
def test_broken_facts_are_one_sentence(begun, facts, content):
    begun.data.write_text(content)
    with pytest.raises(UserError, match=r"data\.json .*: delete it, or use another --workdir\.$"):
        begun.check(change({}), facts, allow_change=True)


@pytest.mark.parametrize("names", [["data.json"], ["config.json"], ["config.json", "data.json"]])
def test_a_checkpoint_whose_origin_is_not_known_is_not_gone_on_with(begun, facts, names):
    config = resolve(create_default())
    for name in names:
        (begun.folder / name).unlink()
    said = f"has a checkpoint but no {' and no '.join(names)}, so that nothing says what it was made with"
    with pytest.raises(UserError, match=said):
        begun.check(config, facts, allow_change=False)
    assert begun.check(config, facts, allow_change=True).endswith(f"{names[-1]} is missing")


@pytest.mark.parametrize("content", ["5", '["a"]', '{"step": 1}'])
def test_broken_starts_are_one_sentence(begun, content):
    begun.versions.write_text(content)
    with pytest.raises(UserError, match=r"versions\.json is no list of a run's starts: delete it"):
        begun.compare_start({"step": 3, "numbers_depend_on": {}})


def test_a_folder_is_held_by_one(tmp_path):
    workdir = Workdir(tmp_path / "deep" / "run")
    with workdir.lock():
        assert workdir.folder.is_dir()
        with pytest.raises(UserError, match=r"Another process is training in .*: wait for it"), workdir.lock():
            pass
    with workdir.lock():
        pass


def test_a_refused_start_leaves_no_new_folder(tmp_path):
    def start(folder, write):
        with Workdir(folder).lock():
            write()
            raise UserError("bad data")

    def refuse(folder, write=lambda: None):
        with pytest.raises(UserError, match="bad data"):
            start(folder, write)

    refuse(tmp_path / "deep" / "run")
    assert not list(tmp_path.iterdir())
    # What was there stays, and so does what was written.
    (tmp_path / "own").mkdir()
    refuse(tmp_path / "own")
    assert (tmp_path / "own").is_dir()
    refuse(tmp_path / "new", lambda: (tmp_path / "new" / "config.json").touch())
    assert (tmp_path / "new" / "config.json").exists()
    with Workdir(tmp_path / "good").lock():
        pass
    assert (tmp_path / "good").is_dir()


def test_what_a_killed_start_left_is_removed_under_the_lock(tmp_path):
    workdir = Workdir(tmp_path)
    workdir.figures.mkdir()
    remains = [tmp_path / ".config.123.new.json", workdir.figures / ".curves.123.new.png"]
    for path in remains:
        path.touch()
        os.utime(path, (0, 0))
    with workdir.lock():
        assert not any(path.exists() for path in remains)


def test_where_the_file_system_knows_no_locks_a_warning_says_so(tmp_path, monkeypatch, caplog):
    def refuse(*_, **__):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with Workdir(tmp_path / "run").lock():
        assert (tmp_path / "run").is_dir()
    assert "knows no locks, so nothing keeps a second process from training there" in caplog.text


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    workdir = Workdir(tmp_path / "file" / "run")
    with (
        pytest.raises(UserError, match=r"--workdir=.*file/run cannot be written \(.*\): name a folder"),
        workdir.lock(),
    ):
        pass


def test_weights_of_a_start_are_written_and_removed(begun):
    begun.write_pretrained({"source": "keras"})
    assert json.loads(begun.pretrained.read_text()) == {"source": "keras"}
    begun.write_pretrained(None)
    begun.write_pretrained(None)
    assert not begun.pretrained.exists()


def test_a_folder_that_may_not_be_looked_into_is_a_sentence(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "stat", refuse)  # what pathlib's `exists` raises behind a closed folder
    monkeypatch.setattr(pathlib.Path, "mkdir", refuse)
    with (
        pytest.raises(UserError, match=r"cannot be written \(Permission denied\)"),
        Workdir(tmp_path / "a" / "b").lock(),
    ):
        pass


def test_a_refused_start_leaves_a_folder_that_was_there_as_it_was(tmp_path):
    (tmp_path / "note.txt").touch()
    with pytest.raises(UserError, match="no such data"), Workdir(tmp_path).lock():
        raise UserError("no such data")
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
