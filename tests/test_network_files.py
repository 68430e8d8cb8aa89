"""Where networks are kept: files by Network.save, and checkpoints of every kind and condition."""

import dataclasses
import gc
import json
import shutil
import sys

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import ferjax
from ferjax.errors import UserError
from ferjax.networks.saved import FORMAT
from ferjax.training import run
from ferjax.training.places import list_places
from tests.answers import answer_as, close
from tests.tiny import read_checkpoint, shrink


def flatten(network):
    return {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(dict(network.variables))[0]
    }


def test_save_and_load_is_exact(tmp_path, network, faces):
    path = tmp_path / "face.safetensors"
    network.save(path)
    again = ferjax.load(path)
    assert flatten(again).keys() == flatten(network).keys()
    for name, leaf in flatten(network).items():
        assert flatten(again)[name].dtype == leaf.dtype
        np.testing.assert_array_equal(flatten(again)[name], leaf)
    for field in ("classes", "scaling", "image_shape", "config", "about", "module"):
        assert getattr(again, field) == getattr(network, field)
        assert type(getattr(again, field)) is type(getattr(network, field))
    np.testing.assert_array_equal(again(faces[0].images[:9]), network(faces[0].images[:9]))
    assert [path.name for path in tmp_path.iterdir()] == ["face.safetensors"]


def test_a_saved_network_is_one_whole_file_or_none(tmp_path, network):
    path = tmp_path / "face.safetensors"
    network.save(path)
    broken = dataclasses.replace(network, about={"what json cannot write": object()})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        broken.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_network_is_saved_into_a_folder_that_is_made_or_the_place_is_named(tmp_path, network):
    network.save(tmp_path / "new" / "folder" / "face.safetensors")
    assert ferjax.load(tmp_path / "new" / "folder" / "face.safetensors").classes == network.classes
    (tmp_path / "file").touch()
    for path, reason in ((tmp_path / "file" / "a.safetensors", "File exists"), (tmp_path / "new", "Is a directory")):
        with pytest.raises(UserError) as told:
            network.save(path)
        assert str(told.value) == f"{path} cannot be written ({reason}): name another file."


def test_a_file_of_an_older_ferjax_is_read_with_the_defaults_of_younger_keys(tmp_path, network):
    path = tmp_path / "face.safetensors"
    network.save(path)
    with safe_open(path, "numpy") as file:
        facts = json.loads(file.metadata()["facts"])
    facts["config"] = {key: value for key, value in facts["config"].items() if key != "input.scaling"}
    facts["config"] |= {"data.normalize": False}
    leaves = {name.replace("']['", "/").strip("[']"): leaf for name, leaf in flatten(network).items()}
    save_file(leaves, path, {"format": FORMAT, "facts": json.dumps(facts)})
    assert ferjax.load(path).scaling == "none"


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "another", "facts": "{}"},
        {"format": FORMAT},
        {"format": FORMAT, "facts": "{"},
        {"format": FORMAT, "facts": "{}"},
        {"format": FORMAT, "facts": "[]"},
        {"format": FORMAT, "facts": '{"config": {}}'},
        {"format": FORMAT, "facts": '{"config": {"model.name": "vgg20"}, "classes": ["a"], "image_shape": [1, 1, 1]}'},
    ],
)
def test_a_file_that_is_no_network_is_one_sentence(tmp_path, metadata):
    path = tmp_path / "face.safetensors"
    save_file({"params/kernel": np.zeros(3, np.float32)}, path, metadata)
    with pytest.raises(
        UserError, match=r"cannot be read as a network .*: name a file that Network\.save wrote\."
    ) as told:
        ferjax.load(path)
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("content", [b"", b"no safetensors at all", b"\xff" * 100])
def test_a_broken_file_is_one_sentence(tmp_path, content):
    path = tmp_path / "face.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as a network") as told:
        ferjax.load(path)
    assert "\n" not in str(told.value)


def test_a_file_that_lacks_its_end_is_one_sentence(tmp_path, network):
    path = tmp_path / "face.safetensors"
    network.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="cannot be read as a network"):
        ferjax.load(path)


def test_a_folder_without_a_network_is_one_sentence(tmp_path, finished_run):
    for name in ("nowhere", "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(UserError, match=r"holds no trained network: name a run's folder, or a file"):
            ferjax.load(tmp_path / name)
    shutil.copytree(finished_run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    with pytest.raises(UserError, match="run holds no trained network"):
        ferjax.load(tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_damaged_checkpoint_is_one_sentence(tmp_path, finished_run, monkeypatch):
    # Orbax leaves the rest of a broken restore to the garbage collector, which warns of it.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    shutil.copytree(finished_run, tmp_path / "run")
    newest = tmp_path / "run" / "checkpoints" / list_places(finished_run / "checkpoints")[-1].name
    for path in newest.glob("best/**/d/*"):
        path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(UserError, match="is damaged") as told:
        ferjax.load(tmp_path / "run")
    assert str(newest) in str(told.value)
    assert "\n" not in str(told.value)
    del told
    gc.collect()


def test_a_checkpoint_of_an_older_ferjax_is_loaded(tmp_path, finished_run, faces):
    shutil.copytree(finished_run, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    for place in list_places(folder)[:-1]:
        shutil.rmtree(folder / place.name)
    (folder / list_places(folder)[-1].name).rename(folder / "6")
    assert ferjax.load(tmp_path / "run").about["checkpoint"] == "6"
    close(*answer_as(tmp_path / "run", faces))


def test_a_run_that_has_validated_no_epoch_gives_its_last_parameters(tmp_path, faces):
    run.run(shrink(**{"train.steps": 2, "train.epochs": 1, "train.best_metric": "loss"}), tmp_path)
    network = ferjax.load(tmp_path)
    assert (network.about["step"], network.about["best_epoch"]) == (2, 0)
    leaves = read_checkpoint(tmp_path)
    kernel = np.asarray(network.variables["params"]["head"]["output"]["kernel"])
    np.testing.assert_array_equal(kernel, leaves["params.head.output.kernel"])
    assert not np.array_equal(kernel, leaves["best.params.head.output.kernel"])
    close(*answer_as(tmp_path, faces))


@pytest.mark.slow
def test_averaged_weights_are_the_network(tmp_path, faces):
    # Before the first validation, and behind it.
    for steps, best in ((2, 0), (0, 1)):
        run.run(shrink(**{"train.steps": steps, "train.epochs": 1, "optim.average_decay": 0.9}), tmp_path)
        network, leaves = ferjax.load(tmp_path), read_checkpoint(tmp_path)
        assert network.about["best_epoch"] == best
        kernel = np.asarray(network.variables["params"]["head"]["output"]["kernel"])
        np.testing.assert_array_equal(kernel, leaves["average.params.head.output.kernel"])
        assert not np.array_equal(kernel, leaves["params.head.output.kernel"])
        close(*answer_as(tmp_path, faces))


def test_a_network_with_parameters_outside_any_layer_is_read_whole(tmp_path, monkeypatch):
    """Names of one part after the collection, as a module's own `self.param` has them."""
    from ferjax.training import checkpoint

    best = {"best.epoch": np.int32(1), "best.score": np.float32(0), "best.params.scale": np.ones(2)}
    state = {"step": np.int32(3), "params.scale": np.zeros(2)}
    (tmp_path / "step_3").mkdir()
    monkeypatch.setattr(checkpoint, "read_leaves", lambda _, part: best if part == "best" else state)
    variables, about = checkpoint.read_network(tmp_path)
    assert variables["params"]["scale"].tolist() == [1, 1]
    assert about == {"checkpoint": "step_3", "step": 3, "best_epoch": 1}


def test_the_best_epoch_is_loaded_and_not_the_last_step(tmp_path, finished_run, faces):
    shutil.copytree(finished_run, tmp_path / "run")
    # Two steps into the second epoch, which nothing has validated.
    config = shrink(**{"train.epochs": 2, "train.steps": 7, "train.best_metric": "loss"})
    run.run(config, tmp_path / "run", allow_config_change=True)
    network = ferjax.load(tmp_path / "run")
    assert (network.about["step"], network.about["best_epoch"]) == (7, 1)
    leaves = read_checkpoint(tmp_path / "run")
    kernel = np.asarray(network.variables["params"]["head"]["output"]["kernel"])
    np.testing.assert_array_equal(kernel, leaves["best.params.head.output.kernel"])
    assert not np.array_equal(kernel, leaves["params.head.output.kernel"])
    close(*answer_as(tmp_path / "run", faces))
