import dataclasses

import numpy as np
import pytest

from ferjax.scores.temperature import fit_calibration, scale


def draw(n=4000, classes=7, sharpness=1.0, seed=0):
    """Labels that follow known probabilities, and those probabilities with logits multiplied by `sharpness`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes)) * 2
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (true.cumsum(1) < rng.random((n, 1))).sum(1).clip(max=classes - 1)
    told = np.exp(sharpness * (logits - logits.max(1, keepdims=True)))
    return labels, (told / told.sum(1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.5])
def test_the_temperature_undoes_what_made_the_logits_too_sharp_or_too_flat(sharpness):
    labels, probabilities = draw(sharpness=sharpness)
    fit = fit_calibration(labels, probabilities, "validation")
    assert fit.temperature == pytest.approx(sharpness, rel=0.06)
    assert fit.error_after < 0.025
    assert fit.adaptive_error_after < 0.025
    if sharpness != 1:
        assert fit.error_before > 3 * fit.error_after
        assert fit.adaptive_error_before > 3 * fit.adaptive_error_after
    assert (fit.split, fit.n) == ("validation", 4000)


def test_scaling_keeps_the_order_and_the_sum():
    probabilities = draw(50)[1]
    scaled = scale(probabilities, 1.7)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(scaled.argsort(1), probabilities.argsort(1))
    assert scale(probabilities, 1.0) is probabilities


def test_answers_below_the_threshold_are_wrong_at_least_every_second_time_and_those_above_it_are_not():
    labels, probabilities = draw(4000)
    fit = fit_calibration(labels, probabilities, "validation")
    calibrated = scale(probabilities, fit.temperature)
    confidence, right = calibrated.max(1), calibrated.argmax(1) == labels
    assert fit.unsure_below == pytest.approx(0.5, abs=0.08)  # what calibrated confidences mean
    assert right[confidence < fit.unsure_below].mean() <= 0.5
    assert right[(confidence >= fit.unsure_below) & (confidence < fit.unsure_below + 0.1)].mean() > 0.5


def test_certain_answers_stay_finite_and_perfect_ones_are_never_unsure():
    labels = np.arange(40) % 4
    certain = np.eye(4, dtype=np.float32)[labels]
    fit = fit_calibration(labels, certain, "validation")
    assert fit.unsure_below == 0
    assert np.isfinite(list(dataclasses.asdict(fit).values())[:6]).all()
    wrong = fit_calibration((labels + 1) % 4, certain, "validation")
    assert wrong.unsure_below == 1
    assert wrong.temperature == pytest.approx(10, rel=0.01)
    with pytest.raises(ValueError, match="no image"):
        fit_calibration(labels[:0], certain[:0], "validation")


def test_one_image_has_a_fit():
    assert fit_calibration(np.array([1]), np.array([[0.2, 0.8]], np.float32), "validation").n == 1
