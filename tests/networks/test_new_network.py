"""A residual, strided, nested network with published weights is added by its own file and one line of the table."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
import toy_residual

from ferjax import networks
from ferjax.cli.weights import main
from ferjax.errors import UserError
from ferjax.networks import weights as pretrained
from ferjax.networks.base import Context
from ferjax.optim.groups import flatten, join, parse
from ferjax.training import flops

GROUPS = parse([["stage1/.*", "frozen"], [".*", 1.0]])


@pytest.fixture(autouse=True)
def _line_of_the_table(monkeypatch):
    monkeypatch.setattr(networks, "NETWORKS", {**networks.NETWORKS, **toy_residual.NETWORKS})
    monkeypatch.setattr(networks, "KEYS", networks.merge_keys(networks.NETWORKS))


def create(**options):
    return networks.create(**{"name": "toy", "num_classes": 5, **options})


@functools.cache
def variables():
    return jax.jit(create().init)(jax.random.key(0), jnp.zeros((1, 20, 24, 3)))


def draw_images():
    return jnp.asarray(np.random.default_rng(0).normal(size=(6, 20, 24, 3)), jnp.float32)


@pytest.fixture
def file(tmp_path):
    """A published file with random tensors, and with a head that the network does not take."""
    random = np.random.default_rng(1)
    table = toy_residual.NETWORKS["toy"].published["toyhub"].table
    tensors = {
        name: random.uniform(0.5, 1.5, place.published_shape).astype(np.float32) for name, place in table.items()
    }
    tensors |= {"fc.weight": np.zeros((9, 16), np.float32), "layer1.0.bn1.num_batches_tracked": np.zeros((), np.int64)}
    path = tmp_path / "toy.safetensors"
    safetensors.numpy.save_file(tensors, path)
    return path, tensors


def test_its_own_key_is_among_the_models_keys_and_reaches_it_alone():
    assert networks.KEYS["blocks"].default == 1
    assert "toy" in networks.KEYS["name"].legal
    assert create(blocks=3).blocks == 3
    assert not hasattr(networks.create(name="compact", num_classes=5, blocks=3), "blocks")
    shapes = jax.eval_shape(create(blocks=2).init, jax.random.key(0), draw_images())
    assert set(shapes["params"]["stage2"]) == {"block0", "block1"}


def test_a_training_step_leaves_frozen_nested_layers_alone():
    trained, frozen = GROUPS.split(variables()["params"], 0)
    context = Context(train=True, mask=jnp.arange(6) < 5, frozen=GROUPS.frozen_layers(variables()["params"], 0))
    assert {path.split("/")[0] for path in context.frozen} == {"stage1"}

    def loss(trained, context):
        given = {"params": join(trained, frozen), "batch_stats": variables()["batch_stats"]}
        logits, updated = create().apply(given, draw_images(), context, mutable=["batch_stats"])
        return (logits**2).sum(), updated["batch_stats"]

    gradients, statistics = jax.jit(jax.grad(loss, has_aux=True))(trained, context)
    assert gradients.keys() == {name for name in flatten(variables()["params"]) if not name.startswith("stage1/")}
    assert all(np.abs(gradient).max() > 0 for gradient in gradients.values())
    changed = {
        name
        for name, value in flatten(statistics).items()
        if not np.array_equal(value, flatten(variables()["batch_stats"])[name])
    }
    assert changed == {name for name in flatten(statistics) if name.startswith("stage2/")}


def test_flops_count_strides_groups_and_frozen_nested_layers():
    shape = (20, 24, 3)
    layers = flops.count_layers(create(), shape)
    first, second = 10 * 12, 5 * 6  # positions after each stage's stride
    assert layers == {
        "stage1/block0/conv1": 2 * first * 9 * 3 * 8,
        "stage1/block0/conv2": 2 * first * 9 * 4 * 8,
        "stage1/block0/shortcut": 2 * first * 3 * 8,
        "stage2/block0/conv1": 2 * second * 9 * 8 * 16,
        "stage2/block0/conv2": 2 * second * 9 * 8 * 16,
        "stage2/block0/shortcut": 2 * second * 8 * 16,
        "head/output": 2 * 16 * 5,
    }
    forward = flops.count_forward(create(), shape)
    stage1 = sum(count for path, count in layers.items() if path.startswith("stage1/"))
    frozen = GROUPS.frozen_layers(variables()["params"], 0)
    assert flops.count_step(create(), shape, frozen) == 3 * forward - 2 * stage1


def test_published_weights_get_to_their_nested_places(file):
    path, tensors = file
    weights = pretrained.load(str(path), "toy")
    assert (weights.source, weights.model, weights.scaling) == ("toyhub", "toy", "minmax")
    assert set(weights.ignored) == {"fc.weight", "layer1.0.bn1.num_batches_tracked"}
    merged, report = pretrained.merge(variables(), weights)
    block = merged["params"]["stage2"]["block0"]
    np.testing.assert_array_equal(block["conv2"]["kernel"], tensors["layer2.0.conv2.weight"].transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(block["shortcut_norm"]["scale"], tensors["layer2.0.downsample.1.weight"])
    statistics = merged["batch_stats"]["stage1"]["block0"]["norm1"]
    np.testing.assert_array_equal(statistics["var"], tensors["layer1.0.bn1.running_var"])
    assert report.initialised == ("head/output/bias", "head/output/kernel")
    with pytest.raises(UserError, match=re.escape("no weights for stage1/block1/norm1/mean [8]")):
        pretrained.merge(jax.eval_shape(create(blocks=2).init, jax.random.key(0), draw_images()), weights)


def test_its_weights_are_recognised_converted_and_read_again(file, tmp_path, capsys):
    assert main([str(file[0]), "--output", str(tmp_path / "folder")]) == 0
    assert "stage1/block0/conv1..2/kernel" in capsys.readouterr().out
    from_file, from_folder = (pretrained.load(str(path), "toy") for path in (file[0], tmp_path / "folder"))
    jax.tree.map(np.testing.assert_array_equal, from_file.params, from_folder.params)
    jax.tree.map(np.testing.assert_array_equal, from_file.batch_stats, from_folder.batch_stats)
    with pytest.raises(UserError, match="holds the weights of toy, not of vgg11"):
        pretrained.load(str(file[0]), "vgg11")


def test_its_source_is_a_word_that_pretrained_takes(file, monkeypatch, tmp_path):
    monkeypatch.setenv("FERJAX_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    file[0].rename(tmp_path / "weights" / "toy.safetensors")
    pretrained.check("toyhub", "toy", 1.0)
    assert pretrained.load("toyhub", "toy").model == "toy"
    with pytest.raises(UserError, match=r"keras publishes no weights of toy, only of vgg16, vgg19.*of toyhub"):
        pretrained.check("keras", "toy", 1.0)
