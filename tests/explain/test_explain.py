"""Maps of where an answer comes from: what they must be by their papers, and Adebayo et al. 2018's sanity checks."""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ferjax
from ferjax.data.datasets.fer2013 import EMOTIONS
from ferjax.data.datasets.synthetic import draw
from ferjax.explain import EXPLANATIONS, choose_targets, explain, overlay
from ferjax.networks.base import INFERENCE, Classifier, Context
from tests.answers import close


class Blobs(Classifier):
    """One convolution without a border, ReLU, the mean of each channel, and a dense layer."""

    in_channels: ClassVar[int] = 1

    @nn.compact
    def __call__(self, images, context: Context = INFERENCE):
        x = nn.relu(nn.Conv(4, (8, 8), (8, 8), name="conv")(images))
        return nn.Dense(self.num_classes, name="output")(x.mean((1, 2)))


@pytest.fixture(scope="module")
def blobs(network):
    module = Blobs(7, "mean", (), 0.0, 1.0, jnp.float32, False)
    variables = module.init(jax.random.key(1), jnp.zeros((1, 48, 48, 1)))
    return dataclasses.replace(network, module=module, variables=variables)


@pytest.fixture(scope="module")
def images(faces):
    return faces[0].images[:3]


def scramble(network):
    """The network with its parameters in another order within each array: Adebayo et al.'s randomised weights."""
    random = np.random.default_rng(0)
    shuffled = jax.tree.map(
        lambda leaf: jnp.asarray(random.permutation(np.asarray(leaf).ravel()).reshape(leaf.shape)), network.variables
    )
    return dataclasses.replace(network, variables=shuffled)


def compute_differences(network, images, targets):
    """The logits of the targets, less those of black images."""
    logits = [network.compute_logits(network.variables, jnp.asarray(x, jnp.float32)) for x in (images, 0 * images)]
    return np.asarray(logits[0] - logits[1])[np.arange(len(images)), targets]


def test_grad_cam_is_the_sum_of_channels_by_their_mean_gradient(blobs, images):
    # Of a network that takes the mean of a channel, the gradient by each of its 36 pixels is the dense weight / 36.
    maps = explain(blobs, images, "grad_cam", target=2)
    features = nn.relu(nn.Conv(4, (8, 8), (8, 8)).apply({"params": blobs.variables["params"]["conv"]}, images / 255.0))
    weights = blobs.variables["params"]["output"]["kernel"][:, 2] / 36
    coarse = nn.relu((features * weights).sum(-1))
    close(maps, jax.image.resize(coarse, (3, 48, 48), "linear"), 1e-6)
    assert maps.max() > 0


@pytest.mark.parametrize("which", ["blobs", pytest.param("network", marks=pytest.mark.slow)])
def test_integrated_gradients_add_up_to_the_logits_difference(request, which, images):
    each = request.getfixturevalue(which)
    targets = each(images).argmax(1)
    maps = explain(each, images, "integrated_gradients")
    expected = compute_differences(each, images, targets)
    close(maps.sum((1, 2)), expected, 0.01 * max(1.0, np.abs(expected).max()))
    assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize("method", EXPLANATIONS)
def test_other_weights_give_another_map(blobs, images, method):
    ours, others = (explain(each, images, method, target=3) for each in (blobs, scramble(blobs)))
    for own, other in zip(ours, others, strict=True):
        # No map of zeros correlates.
        assert abs(np.corrcoef(own.ravel(), other.ravel())[0, 1]) < 0.9 or not other.any()
    np.testing.assert_array_equal(explain(blobs, images, method, target=3), ours)


@pytest.mark.parametrize("method", EXPLANATIONS)
def test_a_map_is_of_its_class_and_its_image_alone(blobs, images, method):
    maps = explain(blobs, images, method, target=np.array([1, 5, 1]))
    assert maps.shape == (3, 48, 48)
    assert maps.dtype == np.float32
    close(maps[1:2], explain(blobs, images[1], method, EMOTIONS[5]), 1e-6)
    assert np.abs(maps - explain(blobs, images, method, 0)).max() > 1e-5
    assert explain(blobs, images[:0], method).shape == (0, 48, 48)
    default = explain(blobs, images, method)
    np.testing.assert_array_equal(default, explain(blobs, images, method, blobs(images).argmax(1)))


def test_the_class_is_that_which_the_network_answers(blobs, images):
    # Scaled to 0..255 these go up to 1 or less, which must not be scaled once more. What is black is of another class.
    dark = np.asarray(images, np.float32) / np.max(images) / 300
    least = int(blobs(images).mean(axis=0).argmin())
    output = blobs.variables["params"]["output"]
    params = {**blobs.variables["params"], "output": {**output, "bias": output["bias"].at[least].add(0.02)}}
    network = dataclasses.replace(blobs, variables={**blobs.variables, "params": params})
    own, scaled_twice = network(dark).argmax(axis=1), network(network.fit(dark)).argmax(axis=1)
    assert (own != scaled_twice).any()
    np.testing.assert_array_equal(choose_targets(network, dark), own)
    np.testing.assert_array_equal(explain(network, dark), explain(network, dark, "grad_cam", own))
    assert choose_targets(network, dark[0, :, :, 0], 3).tolist() == [3]  # one image


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"method": "lime"}, r"method='lime' is not one of grad_cam, integrated_gradients"),
        ({"target": "joy"}, r"target='joy' is not one of angry, disgust"),
        ({"target": 7}, r"target=7 is no number of a class, 0 to 6"),
    ],
)
def test_what_cannot_be_explained_is_said(blobs, images, wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        explain(blobs, images, **wrong)


def test_an_overlay_colours_what_a_map_says_and_nothing_else():
    image = np.full((20, 30), 100, np.uint8)
    values = np.zeros((20, 30))
    values[2:8, 2:8], values[12:18, 20:28] = 1.0, -1.0
    drawn = overlay(image, values, signed=True, least_side_px=1).astype(int)
    assert drawn.shape == (20, 30, 3)
    assert drawn[5, 5, 0] > drawn[5, 5, 2] + 50  # red
    assert drawn[15, 24, 2] > drawn[15, 24, 0] + 50  # blue
    np.testing.assert_array_equal(drawn[2, 20], 100)
    np.testing.assert_array_equal(overlay(image, 0 * values, signed=False, least_side_px=1), 100)
    large = overlay(np.zeros((48, 40, 3), np.uint8), np.ones((3, 3)), signed=False)
    assert large.shape == (48 * 8, 40 * 8, 3)


@pytest.mark.slow
def test_the_map_of_a_smile_lies_on_the_mouth(tmp_path):
    ferjax.train("quickstart", tmp_path)
    network = ferjax.load(tmp_path)
    rows = draw(700, seed=5)
    smiles = rows.images[rows.labels == EMOTIONS.index("happy")]
    smiles = smiles[network(smiles).argmax(1) == EMOTIONS.index("happy")]
    assert len(smiles) > 50
    smiles = smiles[:32]
    for method in EXPLANATIONS:
        maps = explain(network, smiles, method).clip(min=0)
        mean = maps.sum(0) / maps.sum()
        # A mouth is drawn at about 36 of 48 pixels from the top, and is 18 wide.
        mouth, eyes = mean[26:46, 10:38].sum(), mean[4:24, 10:38].sum()
        # Grad-CAM's map is coarse: of the network that was tried the mouth had 1.46 times its share of the area.
        assert mouth > 1.25 * 20 * 28 / 48**2, f"{method}: no more than a quarter above chance"
        assert mouth > eyes, method
