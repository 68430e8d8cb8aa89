"""A network of ferjax as the start of another run."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

import ferjax
from ferjax.errors import UserError
from ferjax.networks import weights
from ferjax.networks.weights import own_network
from ferjax.training import run
from ferjax.training.weights import check, load
from tests.tiny import read_checkpoint, shrink


@pytest.fixture(scope="module")
def saved(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "face.safetensors"
    network.save(path, half=True)
    return path


def test_half_a_file_is_the_same_network_but_for_rounding(saved, network, faces):
    again = ferjax.load(saved)
    assert saved.stat().st_size < 0.6 * 4 * network.count_parameters() + 20_000
    for ours, theirs in zip(jax.tree.leaves(again.variables), jax.tree.leaves(network.variables), strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(again(faces[0].images[:9]), network(faces[0].images[:9]), atol=5e-3)


def test_a_run_on_other_classes_begins_with_all_but_the_head(saved, tmp_path):
    keys = {"init.pretrained": str(saved), "data.classes": "good=happy+surprise,bad=angry+sad", "train.steps": 1}
    run.run(shrink(**keys, **{"optim.learning_rate": 1e-9}), tmp_path / "own")
    theirs, ours = ferjax.load(saved).variables["params"], ferjax.load(tmp_path / "own")
    assert ours.classes == ("good", "bad")
    np.testing.assert_allclose(
        ours.variables["params"]["block1_conv1"]["kernel"], theirs["block1_conv1"]["kernel"], atol=1e-6
    )
    noted = json.loads((tmp_path / "own" / "pretrained.json").read_text())
    assert noted["source"] == "ferjax"
    assert noted["initialised"] == ["head/output/bias", "head/output/kernel"]
    assert read_checkpoint(tmp_path / "own")["params.head.output.kernel"].shape[1] == 2


def test_a_runs_folder_is_taken_as_the_file_of_its_network(saved, finished_run, network, tmp_path):
    theirs = weights.load(str(saved), "compact")
    ours = load(str(finished_run), "compact")
    assert ours.path == str(finished_run)
    assert (ours.scaling, ours.source, jax.tree.structure(ours.params)) == (
        *(theirs.scaling, theirs.source),
        jax.tree.structure(theirs.params),
    )
    np.testing.assert_array_equal(
        ours.params["block1_conv1"]["kernel"], network.variables["params"]["block1_conv1"]["kernel"]
    )
    assert len(ours.sha256) == 64
    check(str(finished_run), "compact", 1.0)
    with pytest.raises(UserError, match=r"holds weights of compact, and model\.name is vgg19"):
        check(str(finished_run), "vgg19", 1.0)
    # What `ferjax export` writes is a folder too.
    exported = tmp_path / "exported"
    exported.mkdir()
    shutil.copy(saved, exported / "model.safetensors")
    (exported / "config.json").write_text("{}")
    assert load(str(exported), "compact").sha256 == theirs.sha256
    empty = shutil.copytree(finished_run, tmp_path / "empty", ignore=shutil.ignore_patterns("checkpoints"))
    with pytest.raises(UserError, match="empty holds no trained network: name the folder of a run"):
        check(str(empty), "compact", 1.0)


def test_another_network_or_another_width_is_one_sentence(saved, network, tmp_path):
    with pytest.raises(UserError, match=r"holds weights of compact, and model\.name is vgg19: set model\.name=compact"):
        weights.check(str(saved), "vgg19", 1.0)
    with pytest.raises(UserError, match=r"set model\.name=compact and the keys of group model as that"):
        run.run(shrink(**{"init.pretrained": str(saved), "model.width": 0.5}), tmp_path / "run")
    config = {key: value for key, value in network.config.items() if key != "model.name"}
    dataclasses.replace(network, config=config).save(tmp_path / "nameless.safetensors")
    with pytest.raises(UserError, match="does not say of which network"):
        own_network.check(tmp_path / "nameless.safetensors", "compact")
