"""What a run leaves, loaded: it answers as the run did, and touches nothing."""

import dataclasses
import shutil
import threading
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float
from PIL import Image

import ferjax
from ferjax.data.datasets.fer2013 import EMOTIONS
from ferjax.errors import UserError
from ferjax.network import Network
from ferjax.networks.base import INFERENCE, Classifier, Context
from ferjax.report import read_predictions
from ferjax.scores.temperature import scale
from ferjax.training.places import list_places
from ferjax.views import VIEWS
from ferjax.workdir import Workdir
from tests.answers import close
from tests.compiling import list_compiled


class Linear(Classifier):
    """A network that compiles at once."""

    in_channels: ClassVar[int] = 1

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"], context: Context = INFERENCE) -> Float[Array, "b k"]:
        return nn.Dense(self.num_classes)(images.reshape(len(images), -1))


@pytest.fixture(scope="module")
def linear(network):
    """The run's network with another module in its place."""
    module = Linear(7, "flatten", (), 0.0, 1.0, jnp.float32, False)
    variables = module.init(jax.random.key(0), jnp.zeros((1, 48, 48, 1)))
    return dataclasses.replace(network, module=module, variables=variables)


def list_files(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [folder, *folder.rglob("*")]}


def test_it_answers_as_the_run_did_and_says_where_it_comes_from(finished_run, network, faces):
    predictions = read_predictions(finished_run / "predictions.csv")
    assert predictions.row.tolist() == faces[1].tolist()
    probabilities = network.uncalibrated()(faces[0].images[faces[1]])
    assert probabilities.dtype == np.float32
    close(probabilities, predictions.probabilities)
    assert np.ptp(predictions.probabilities, axis=0).max() > 1e-3  # not one answer for all
    assert network.classes == EMOTIONS == predictions.classes
    assert (network.image_shape, network.scaling) == ((48, 48, 1), "minmax")
    assert network.config == Workdir(finished_run).read_config()
    newest = list_places(finished_run / "checkpoints")[-1].name
    assert network.about == {
        "path": str(finished_run),
        "checkpoint": newest,
        "step": 5,
        "best_epoch": 1,
        "data": "synthetic",
    }


def test_loading_changes_nothing_takes_no_lock_and_is_quiet(finished_run, faces, caplog):
    before = list_files(finished_run)
    with Workdir(finished_run).lock():
        ferjax.load(finished_run)(faces[0].images[:3])
    assert list_files(finished_run) == before
    assert not caplog.records


def test_batches_of_other_sizes_give_the_same_answers(linear, faces):
    images = faces[0].images[:10]
    whole = linear(images)
    for size in (1, 3, 10, 64):
        close(linear(images, batch_size=size), whole)
    close(linear(images[3:4]), whole[3:4])


def test_batches_of_one_size_compile_once(linear, faces):
    fresh = dataclasses.replace(linear)
    for rows in (1, 5, 8, 11):
        fresh(faces[0].images[:rows], batch_size=8)
    assert fresh._predict["none"]._cache_size() == 1


@pytest.mark.parametrize("batch_size", [32, 64])
def test_a_cpu_computes_batches_of_32_in_threads_side_by_side(linear, monkeypatch, batch_size):
    monkeypatch.setattr("ferjax.machine.count_processors", lambda: 2)
    together, threads = threading.Barrier(2, timeout=60), []

    def predict(ready, images):
        threads.append(threading.current_thread())
        if threads[-1] is not threading.main_thread():
            together.wait()  # breaks where the second batch waits for the first
        assert len(images) == 32
        return np.repeat(images[:, :1, 0, 0].astype(np.float32), 7, axis=1)

    network = dataclasses.replace(linear)
    monkeypatch.setitem(network.__dict__, "_predict", {"none": predict})
    images = np.broadcast_to(np.arange(150, dtype=np.uint8)[:, None, None, None], (150, 48, 48, 1))
    np.testing.assert_array_equal(network(images, batch_size=batch_size)[:, 0], np.arange(150))
    np.testing.assert_array_equal(network(images[:100], batch_size=batch_size)[:, 0], np.arange(100))
    assert len(threads) == 5 + 4
    # What is not compiled yet is compiled by one thread.
    assert [thread is threading.main_thread() for thread in threads] == [True] + [False] * 8


def test_loading_and_one_answer_compile_one_program(caplog):
    with jax.log_compiles():
        ferjax.load()(np.zeros((1, 48, 48), np.uint8), batch_size=1)
    assert list_compiled(caplog) == ["jit(compute_probabilities)"]


def test_images_of_every_form(linear, faces):
    images = faces[0].images[:4]
    answers = linear(images)
    close(linear(images[..., 0]), answers)
    close(linear(images.astype(np.float32)), answers)
    close(linear(images.astype(np.float64)), answers)
    close(linear(np.repeat(images, 3, axis=-1)), answers)
    close(linear(np.repeat(images, 3, axis=-1).astype(np.float32)), answers, 1e-5)


def test_a_single_image(linear, faces):
    image = faces[0].images[5]
    answer = linear(faces[0].images[5:6])
    for single in (image[..., 0], image, np.repeat(image, 3, axis=-1)):
        assert linear(single).shape == (1, 7)
        close(linear(single), answer)


@pytest.mark.parametrize("shape", [(0, 48, 48), (0, 48, 48, 1), (0, 30, 20, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_no_images_have_no_answers(linear, shape, dtype):
    answers = linear(np.zeros(shape, dtype))
    assert answers.shape == (0, 7)
    assert answers.dtype == np.float32


@pytest.mark.parametrize("size", [(96, 96), (30, 20), (48, 60), (100, 48)])
def test_images_of_any_size_are_scaled_by_pillow(linear, size):
    height, width = size
    colour = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    gray = [Image.fromarray(image).convert("L") for image in colour]
    expected = np.stack([np.asarray(image.resize((48, 48), Image.Resampling.BILINEAR)) for image in gray])[..., None]
    fitted = linear.fit(colour)
    assert fitted.dtype == np.uint8
    np.testing.assert_array_equal(fitted, expected)
    np.testing.assert_array_equal(linear.fit(np.stack([np.asarray(image) for image in gray])), expected)
    as_floats = linear.fit(colour.astype(np.float32))
    assert as_floats.dtype == np.float32
    close(as_floats, expected, 1.5)  # nothing is rounded on the way
    assert linear(colour).shape == (2, 7)
    close(linear(colour), linear(expected))


@pytest.mark.parametrize("dtype", [bool, np.float32, np.float64, np.uint16])
def test_levels_mean_what_they_mean_to_predict(linear, dtype):
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 48), dtype=np.uint8)
    images = np.where(images > 127, 255, 0).astype(np.uint8) if dtype is bool else images
    given = {bool: images > 127, np.uint16: images.astype(np.uint16) * 257}.get(dtype, images.astype(dtype) / 255)
    close(linear(given), linear(images))
    table = linear.predict(given, detect=False)
    close(table[[f"p_{name}" for name in linear.classes]].to_numpy(), linear(images))


@pytest.mark.parametrize("deepest", [255, 1023, 4095, 65535])
def test_deep_levels_mean_the_same_to_both(linear, deepest):
    images = np.linspace(0, deepest, 48 * 48).reshape(1, 48, 48).astype(np.uint16)
    table = linear.predict(images, detect=False)
    close(table[[f"p_{name}" for name in linear.classes]].to_numpy(), linear(images), 0.02)
    close(linear(images), linear(images.astype(np.float64) * (255 / deepest)), 1e-3)


def test_half_precision_of_other_libraries_is_real(linear):
    images = np.random.default_rng(0).random((2, 48, 48)).astype(jnp.bfloat16)
    close(linear(images), linear(images.astype(np.float32)))
    table = linear.predict(images, detect=False)
    close(table[[f"p_{name}" for name in linear.classes]].to_numpy(), linear(images), 0.02)


@pytest.mark.parametrize("level", [-1.0, np.nan, 70000.0])
def test_levels_of_no_image_are_refused(linear, level):
    with pytest.raises(ValueError, match=r"not within 0\.\.65535"):
        linear(np.full((1, 48, 48), level, np.float32))


def test_a_network_of_colour_images_is_fed_colour(linear):
    colour = dataclasses.replace(linear, image_shape=(24, 32, 3))
    images = np.random.default_rng(0).integers(0, 256, (2, 24, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(colour.fit(images), images)
    np.testing.assert_array_equal(colour.fit(images[..., :1]), np.repeat(images[..., :1], 3, axis=-1))


@pytest.mark.parametrize(
    "shape", [(48,), (2, 48, 48, 2), (48, 48, 4), (48, 48, 2), (2, 48, 48, 4), (2, 0, 48, 1), (1, 2, 48, 48, 1)]
)
def test_an_array_of_no_images_is_refused(linear, shape):
    with pytest.raises(ValueError, match="are none: give"):
        linear(np.zeros(shape, np.uint8))


def test_unknown_views_are_refused(linear):
    with pytest.raises(ValueError, match=r"views='mirrors' is not one of none, mirror, shifts"):
        linear(np.zeros((1, 48, 48), np.uint8), views="mirrors")


@pytest.mark.parametrize("views", VIEWS)
def test_probabilities_of_all_views_sum_to_1(linear, faces, views):
    answers = linear(faces[0].images[:5], views=views)
    close(answers.sum(axis=1), 1, 1e-5)
    assert (answers >= 0).all()
    if views != "none":
        assert np.abs(answers - linear(faces[0].images[:5])).max() > 1e-6


def test_mirror_is_the_mean_over_image_and_mirror_image(network, faces):
    images = faces[0].images[:6]
    raw = network.uncalibrated()
    mean = (raw(images) + raw(images[:, :, ::-1])) / 2
    close(raw(images, views="mirror"), mean)
    assert np.abs(mean - raw(images)).max() > 1e-5


def test_it_answers_with_the_temperature_that_its_run_found_on_validation(finished_run, network, faces):
    saved = Workdir(finished_run).read_calibration()
    assert saved["split"] == "validation"
    assert (network.temperature, network.unsure_below) == (saved["temperature"], saved["unsure_below"])
    assert network.temperature != 1
    images = faces[0].images[:9]
    close(network(images), scale(network.uncalibrated()(images), network.temperature))


def test_a_run_that_has_not_ended_has_no_temperature(tmp_path, finished_run):
    shutil.copytree(finished_run, tmp_path / "run")
    Workdir(tmp_path / "run").calibration.unlink()
    network = ferjax.load(tmp_path / "run")
    assert (network.temperature, network.unsure_below) == (1, 0)
    Workdir(tmp_path / "run").calibration.write_text("[1]")
    with pytest.raises(UserError, match=r"calibration\.json holds no temperature"):
        ferjax.load(tmp_path / "run")


def test_a_network_cannot_be_changed_by_mistake(network):
    assert isinstance(network, Network)
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.scaling = "none"


def test_its_text_is_short_and_says_what_it_is(linear):
    text = repr(linear)
    assert "Linear(" in text
    assert str(EMOTIONS) in text
    assert "kernel" not in text, "a line, not pages of parameters"
