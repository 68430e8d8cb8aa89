"""A run that begins from ImageNet weights: where they go, what is said, and what a resumed run needs of them."""

import json

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from configs import optimal
from ferjax import data
from ferjax.config import resolve
from ferjax.data.datasets.synthetic import draw
from ferjax.errors import UserError
from ferjax.networks.vgg import DEPTHS, WIDTHS
from ferjax.training import run
from ferjax.training.checkpoint import Checkpoints
from ferjax.training.places import Place
from ferjax.workdir import Workdir
from tests.tiny import create_loop


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file in timm's layout with random VGG11 weights."""
    random, tensors, index, channels = np.random.default_rng(0), {}, 0, 3
    for depth, width in zip(DEPTHS["vgg11"], WIDTHS, strict=True):
        for _ in range(depth):
            tensors[f"features.{index}.weight"] = random.normal(size=(width, channels, 3, 3)).astype(np.float32)
            tensors[f"features.{index}.bias"] = random.normal(size=width).astype(np.float32)
            index, channels = index + 2, width
        index += 1
    tensors["head.fc.weight"] = np.zeros((1000, 4096), np.float32)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(tensors, path)
    return path, tensors


def create(workdir, path, **changed):
    config = optimal.get_config()
    config.update_from_flattened_dict(
        {"data.path": "synthetic", "model.name": "vgg11", "init.pretrained": str(path), **changed}
    )
    workdir.mkdir(exist_ok=True)
    loop = create_loop(resolve(config), workdir, draw(140), "stratified")
    loop.close()
    return loop


def test_a_run_begins_from_the_weights_and_says_so(weights, tmp_path, caplog):
    path, tensors = weights
    with caplog.at_level("INFO", logger="ferjax"):
        state = create(tmp_path / "run", path).state
    first = tensors["features.0.weight"].transpose(2, 3, 1, 0)
    for params in (state.params, state.best.params):
        np.testing.assert_array_equal(params["block1_conv1"]["kernel"], first)
        np.testing.assert_array_equal(params["block5_conv2"]["bias"], tensors["features.18.bias"])
        assert params["head"]["output"]["kernel"].shape == (512, 7)
    assert np.abs(state.params["head"]["output"]["kernel"]).max() > 0
    assert "trained on input scaled as 'imagenet_torch', and this run scales it as 'minmax'" in caplog.text
    about = json.loads((tmp_path / "run" / "pretrained.json").read_text())
    assert about["source"] == "timm"
    assert len(about["sha256"]) == 64
    assert about["initialised"] == ["head/output/bias", "head/output/kernel"]
    assert about["ignored"] == ["head.fc.weight"]


def test_the_matching_scaling_is_no_warning(weights, tmp_path, caplog):
    create(tmp_path / "run", weights[0], **{"input.scaling": "imagenet_torch"})
    assert "scaled as" not in caplog.text


def test_a_resumed_run_needs_no_weights(weights, tmp_path):
    loop = create(tmp_path, weights[0])
    checkpoints = Checkpoints(Workdir(tmp_path).checkpoints)
    checkpoints.save(Place(True, 1, False), loop.state)
    checkpoints.close()
    resumed = create(tmp_path, tmp_path / "gone").state
    assert jax.tree.all(jax.tree.map(np.array_equal, loop.state.params, resumed.params))
    with pytest.raises(UserError, match="gone"):
        create(tmp_path / "other", tmp_path / "gone")


def test_missing_weights_are_told_before_the_data_is_read_unless_there_is_a_checkpoint(tmp_path, monkeypatch):
    class DataIsReadError(Exception):
        pass

    def load(**_):
        raise DataIsReadError

    monkeypatch.setattr(data, "load", load)
    config = resolve(optimal.get_config())
    with config.unlocked():
        config.init.pretrained = str(tmp_path / "gone")
    with pytest.raises(UserError, match="gone"):
        run.run(config, tmp_path)
    (tmp_path / "checkpoints" / "step_5").mkdir(parents=True)
    with pytest.raises(DataIsReadError):
        run.run(config, tmp_path)


def test_a_network_without_published_weights_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"no published weights for model\.name=compact.*init\.pretrained=none"):
        create(tmp_path, "timm", **{"model.name": "compact"})
