"""Test-time views by hand, and where a run uses them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.data.datasets.synthetic import draw as draw_faces
from ferjax.network import load
from ferjax.report import read_predictions
from ferjax.training import run
from ferjax.views import VIEWS, average_views
from tests.tiny import read_metrics, shrink

SHAPES = [(2, 48, 48, 1), (1, 64, 40, 3), (2, 30, 30, 1), (1, 12, 12, 1), (1, 7, 5, 1)]


def draw(shape):
    return jnp.asarray(np.random.default_rng(0).uniform(0, 255, shape), jnp.float32)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", VIEWS)
def test_every_view_keeps_the_form_and_the_range(name, shape):
    images = draw(shape)
    for view in VIEWS[name]:
        seen = view(images)
        assert seen.shape == images.shape
        assert seen.dtype == images.dtype
        assert float(seen.min()) >= 0
        assert float(seen.max()) <= 255.001
        np.testing.assert_allclose(view(jnp.full(shape, 7.0)), 7.0, rtol=1e-5)


def test_none_is_the_identity_and_how_many_views_there_are():
    images = draw(SHAPES[0])
    assert VIEWS["none"][0](images) is images
    counts = {name: len(views) for name, views in VIEWS.items()}
    mirrored = {"mirror_shifts": 10, "mirror_crops": 10, "mirror_shifts_zooms": 14}
    assert counts == {"none": 1, "mirror": 2, "shifts": 5, "crops": 5, **mirrored}
    for name, views in VIEWS.items():
        seen = [np.asarray(view(images)) for view in views]
        assert len({array.tobytes() for array in seen}) == len(seen), f"two of {name} are the same"


def test_mirror_turns_left_and_right():
    images = draw(SHAPES[1])
    np.testing.assert_array_equal(VIEWS["mirror"][1](images), np.asarray(images)[:, :, ::-1, :])
    for name in ("shifts", "crops"):
        both = VIEWS[f"mirror_{name}"]
        assert both[:5] == VIEWS[name]
        for plain, mirrored in zip(both[:5], both[5:], strict=True):
            np.testing.assert_array_equal(mirrored(images), np.asarray(plain(images))[:, :, ::-1, :])


def test_shifts_move_by_a_24th_and_repeat_the_edge():
    image = draw((1, 48, 48, 1))
    down, up, right, left = (np.asarray(view(image)) for view in VIEWS["shifts"][1:])
    np.testing.assert_array_equal(down[:, 2:], image[:, :-2])
    np.testing.assert_array_equal(down[:, :2], np.repeat(image[:, :1], 2, axis=1))
    np.testing.assert_array_equal(up[:, :-2], image[:, 2:])
    np.testing.assert_array_equal(up[:, -2:], np.repeat(image[:, -1:], 2, axis=1))
    np.testing.assert_array_equal(right[:, :, 2:], image[:, :, :-2])
    np.testing.assert_array_equal(left[:, :, :-2], image[:, :, 2:])


@pytest.mark.parametrize("shape", SHAPES)
def test_shifts_go_as_far_one_way_as_the_other(shape):
    images = draw(shape)
    down, up, right, left = VIEWS["shifts"][1:]
    np.testing.assert_array_equal(up(images), np.asarray(down(images[:, ::-1]))[:, ::-1])
    np.testing.assert_array_equal(left(images), np.asarray(right(images[:, :, ::-1]))[:, :, ::-1])


def test_crops_are_the_centre_and_the_corners_scaled_up():
    image = draw((1, 48, 48, 1))
    places = [(2, 2), (0, 0), (0, 4), (4, 0), (4, 4)]
    for view, (top, left) in zip(VIEWS["crops"], places, strict=True):
        cut = image[:, top : top + 44, left : left + 44]
        np.testing.assert_array_equal(view(image), jax.image.resize(cut, image.shape, "bilinear"))


def test_zooms_show_more_and_less_of_the_image():
    image = draw((1, 48, 48, 1))
    larger, smaller = VIEWS["mirror_shifts_zooms"][5:7]
    np.testing.assert_array_equal(larger(image), VIEWS["crops"][0](image))
    around = np.pad(image, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    np.testing.assert_array_equal(smaller(image), jax.image.resize(around, image.shape, "bilinear"))


def test_the_average_is_of_probabilities():
    logits = [jnp.asarray(np.random.default_rng(seed).normal(0, 3, (4, 7)), jnp.float32) for seed in range(3)]
    mean = np.mean([jax.nn.softmax(one) for one in logits], axis=0)
    np.testing.assert_allclose(jnp.exp(average_views(logits)), mean, rtol=1e-5)
    np.testing.assert_allclose(average_views(logits[:1]), jax.nn.log_softmax(logits[0]), rtol=1e-5)
    # Probabilities of 0 in one view are no infinity.
    assert np.isfinite(average_views([jnp.asarray([[200.0, -200.0]]), jnp.asarray([[0.0, 0.0]])])).all()


def test_the_end_of_a_run_looks_at_the_views_and_validation_does_not(tmp_path, finished_run):
    run.run(shrink(**{"train.epochs": 1, "train.best_metric": "loss", "eval.views": "mirror"}), tmp_path)
    assert read_metrics(tmp_path, "validation") == read_metrics(finished_run, "validation")
    assert read_metrics(tmp_path, "validation")
    plain, mirrored = (read_predictions(folder / "predictions.csv") for folder in (finished_run, tmp_path))
    assert np.abs(plain.probabilities - mirrored.probabilities).max() > 1e-5
    images = draw_faces(140).images[mirrored.row]
    np.testing.assert_allclose(
        load(tmp_path).uncalibrated()(images, views="mirror"), mirrored.probabilities, rtol=0, atol=1e-6
    )
