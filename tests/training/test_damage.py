"""Checkpoints with broken bytes, and disks that refuse one."""

import errno
import json
import os
import shutil
import threading

import pytest

import ferjax
from ferjax.errors import UserError
from ferjax.training import checkpoint, checksums, run
from ferjax.training.checkpoint import Checkpoints, read_network
from ferjax.training.damage import DamagedCheckpoint, find_refusal
from ferjax.training.places import Place, list_places
from scripts.drills.states import create_state
from tests.tiny import read_bits, read_metrics, shrink


def newest(workdir):
    folder = workdir / "checkpoints"
    return folder / list_places(folder)[-1].name


def list_files(checkpoint):
    return sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.parent != checkpoint)


def flip(path, at=0.5):
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 0x10
    path.write_bytes(content)


@pytest.fixture
def copied(tmp_path, finished_run):
    shutil.copytree(finished_run, tmp_path / "run")
    return tmp_path / "run"


def test_every_file_of_a_checkpoint_has_a_checksum(copied):
    checkpoint = newest(copied)
    assert checksums.find_damage(checkpoint) is None
    files = list_files(checkpoint)
    assert any(path.stat().st_size > 1000 for path in files)
    for path in files:
        content = path.read_bytes()
        if content:
            flip(path)
            assert (
                checksums.find_damage(checkpoint) == f"{path.relative_to(checkpoint)} has other bytes than were written"
            )
            path.write_bytes(content[:-1])
            assert "bytes" in checksums.find_damage(checkpoint)
        path.unlink()
        assert "is missing" in checksums.find_damage(checkpoint)
        path.write_bytes(content)
    (checkpoint / checksums.FILE).write_text("[]")
    assert checksums.find_damage(checkpoint) == "checksums.json is not as it was written"
    (checkpoint / checksums.FILE).unlink()
    assert checksums.find_damage(checkpoint) is None, "a checkpoint of an older version has none"


def test_a_flipped_bit_is_never_a_silently_wrong_network(copied, caplog):
    shutil.copytree(newest(copied), copied / "checkpoints" / "step_1")
    largest = max(newest(copied).glob("best/**/d/*"), key=lambda path: path.stat().st_size)
    flip(largest)
    older, last = "step_1", newest(copied).name
    network = ferjax.load(copied)
    assert network.about["checkpoint"] == older
    assert f"Checkpoint {newest(copied)} is damaged" in caplog.text
    assert f"so the one before it is used, {older}" in caplog.text
    for path in list_files(copied / "checkpoints" / older):
        flip(path) if path.stat().st_size else None
    with pytest.raises(DamagedCheckpoint, match="has other bytes than were written"):
        read_network(copied / "checkpoints")
    assert last in os.listdir(copied / "checkpoints"), "reading changes nothing"


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(tmp_path, caplog):
    config = shrink(**{"train.epochs": 2})
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    run.run(config, straight)
    shutil.copytree(straight, broken)
    damaged = newest(broken)
    flip(max(damaged.glob("state/**/d/*"), key=lambda path: path.stat().st_size))
    run.run(config, broken)
    assert "is damaged" in caplog.text
    assert (damaged.parent / f"damaged_{damaged.name}").is_dir()
    assert read_bits(broken) == read_bits(straight)
    assert read_metrics(broken) == read_metrics(straight)


def test_without_an_older_checkpoint_a_damaged_one_ends_the_run_in_a_sentence(tmp_path):
    config = shrink(**{"train.steps": 1})
    run.run(config, tmp_path)
    flip(max(newest(tmp_path).glob("state/**/d/*"), key=lambda path: path.stat().st_size))
    with pytest.raises(UserError, match=r"is damaged \(.*\), and there is no older one: delete that folder") as told:
        run.run(config, tmp_path)
    assert "\n" not in str(told.value)
    assert newest(tmp_path).is_dir()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
        OSError(errno.EACCES, os.strerror(errno.EACCES)),
        RuntimeError("can't start new thread"),
        ValueError("opening x: [OS error 24: Too many open files]"),
    ],
)
@pytest.mark.parametrize("where", ["checksums", "arrays"])
def test_an_intact_checkpoint_is_not_called_damaged_where_the_system_refuses_to_read_it(
    copied, monkeypatch, error, where
):
    def refuse(*_):
        raise error

    shutil.copytree(newest(copied), copied / "checkpoints" / "step_1")
    before = sorted(os.listdir(copied / "checkpoints"))
    monkeypatch.setattr(
        *{"checksums": (checksums, "find_damage"), "arrays": (checkpoint, "read_leaves")}[where], refuse
    )
    with pytest.raises(UserError, match=r"cannot be read \(.*\): mend that, and the same command goes on") as told:
        ferjax.load(copied)
    assert not isinstance(told.value, DamagedCheckpoint)
    assert sorted(os.listdir(copied / "checkpoints")) == before


def test_a_checkpoint_that_a_run_removes_while_it_is_read_is_not_called_damaged(copied, monkeypatch, caplog):
    folder, read = copied / "checkpoints", checkpoint.read_leaves
    last = newest(copied)
    for name in ("step_1", "step_2"):
        shutil.copytree(last, folder / name)

    def remove_then_read(place, part):
        if place.name == "step_2":
            shutil.move(folder / "moved", last)
            shutil.rmtree(place)
        return read(place, part)

    last.rename(folder / "moved")
    monkeypatch.setattr(checkpoint, "read_leaves", remove_then_read)
    assert ferjax.load(copied).about["checkpoint"] == last.name
    assert "damaged" not in caplog.text
    shutil.rmtree(last)
    shutil.rmtree(folder / "step_1")
    with pytest.raises(UserError, match="has no checkpoint any more"):
        read_network(folder)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [("data.json", "classes", None), ("data.json", "image_shape", "zz"), ("config.json", "model", {"name": None})],
)
def test_a_run_whose_facts_are_of_another_kind_is_one_sentence(copied, name, key, value):
    facts = json.loads((copied / name).read_text())
    (copied / name).write_text(json.dumps({**facts, key: value}))
    with pytest.raises(UserError) as told:
        ferjax.load(copied)
    assert "\n" not in str(told.value)


def test_a_file_called_like_a_checkpoint_is_passed_over(copied, caplog):
    (copied / "checkpoints" / "step_99").touch()
    (copied / "checkpoints" / "step_98").symlink_to("nowhere")
    last = newest(copied).name
    assert last == "step_99"
    assert ferjax.load(copied).about["checkpoint"] not in ("step_98", "step_99")
    assert "step_99 is damaged" in caplog.text


@pytest.mark.slow
def test_of_several_seeds_a_damaged_checkpoint_takes_all_back(tmp_path):
    config = shrink(**{"train.epochs": 2, "train.seeds": (0, 1)})
    run.run_seeds(config, tmp_path / "straight")
    shutil.copytree(tmp_path / "straight", tmp_path / "broken")
    flip(max(newest(tmp_path / "broken" / "seed_1").glob("state/**/d/*"), key=lambda path: path.stat().st_size))
    run.run_seeds(config, tmp_path / "broken")
    for seed in ("seed_0", "seed_1"):
        assert read_bits(tmp_path / "broken" / seed) == read_bits(tmp_path / "straight" / seed)
        assert read_metrics(tmp_path / "broken" / seed) == read_metrics(tmp_path / "straight" / seed)


def test_a_saved_network_with_a_flipped_bit_is_refused(tmp_path, network):
    path = tmp_path / "network.safetensors"
    network.save(path)
    ferjax.load(path)
    flip(path, 0.99)  # within the arrays
    with pytest.raises(UserError, match="cannot be read as a network"):
        ferjax.load(path)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device"),
        (
            ValueError("RESOURCE_EXHAUSTED: writing x: [OS error 28: No space left on device]"),
            "No space left on device",
        ),
        (RuntimeError("Error writing: File too large and more"), "File too large"),
        (RuntimeError("can't start new thread"), "can't start new thread"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "Disk quota exceeded"),
        (ValueError("FAILED_PRECONDITION: writing x: [OS error 122: Disk quota exceeded]"), "Disk quota exceeded"),
        (ValueError("barrier timed out"), None),
    ],
)
def test_a_disk_that_refuses_is_told_from_other_faults(error, reason):
    assert find_refusal(error) == reason
    outer = RuntimeError("pages of text")
    outer.__cause__ = error
    assert find_refusal(outer) == reason


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checksums, "write", refuse)
    with pytest.raises(
        UserError, match=r"could not be written to .* \(No space left on device\): mend that, and"
    ) as told:
        run.run(shrink(**{"train.steps": 1}), tmp_path)
    assert "\n" not in str(told.value)
    assert Checkpoints(tmp_path / "checkpoints").latest is None
    monkeypatch.undo()
    run.run(shrink(**{"train.steps": 1}), tmp_path)


def test_a_folder_that_was_taken_away_is_not_made_anew(tmp_path):
    manager = Checkpoints(tmp_path / "run" / "checkpoints")
    manager.save(Place(True, 1, True), create_state())
    manager.wait()
    (tmp_path / "run").rename(tmp_path / "away")
    with pytest.raises(UserError, match=r"could not be written to .* \(No such file or directory\): mend that, and"):
        manager.save(Place(True, 2, True), create_state())
    manager.close()
    assert os.listdir(tmp_path) == ["away"]
    assert [place.step for place in list_places(tmp_path / "away" / "checkpoints")] == [1]


def test_no_thread_of_a_save_keeps_a_process_from_ending(tmp_path):
    # Of a save that is refused as it begins, Orbax's threads wait for minutes for what will not come.
    before, manager = set(threading.enumerate()), Checkpoints(tmp_path)
    manager.save(Place(True, 1, True), create_state())
    begun = set(threading.enumerate()) - before
    manager.close()
    assert begun
    assert all(thread.daemon for thread in begun)
    assert manager.latest == Place(True, 1, True)
