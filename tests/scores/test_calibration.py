import numpy as np
import pytest

from ferjax.scores.calibration import calibrate


def calibration_error_by_loops(labels, probabilities, bins):
    """Guo et al. 2017, equation 3, image by image."""
    error = 0.0
    for m in range(bins):
        inside = [i for i, row in enumerate(probabilities) if m / bins < float(max(row)) <= (m + 1) / bins]
        if inside:
            accuracy = np.mean([int(np.argmax(probabilities[i])) == labels[i] for i in inside])
            confidence = np.mean([float(max(probabilities[i])) for i in inside])
            error += len(inside) / len(labels) * abs(accuracy - confidence)
    return error


@pytest.mark.parametrize("bins", [15, 4])
@pytest.mark.parametrize("classes", [7, 8])
def test_calibration_error_equals_the_papers_by_loops(bins, classes):
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 400)
    probabilities = rng.dirichlet(np.full(classes, 0.3), 400).astype(np.float32)
    probabilities[:3] = np.eye(classes)[:3]  # certain
    probabilities[3, :] = 0
    probabilities[3, 1:5] = 0.25  # on an edge of four bins
    got = calibrate(labels, probabilities, bins)
    assert got.error == pytest.approx(calibration_error_by_loops(labels, probabilities, bins), abs=1e-12)
    assert got.count.sum() == 400
    assert got.correct.sum() == (probabilities.argmax(axis=1) == labels).sum()


def test_upper_edges_belong_to_their_bin():
    got = calibrate(np.array([0, 0, 1]), np.array([[0.5, 0.5], [0.75, 0.25], [0.0, 1.0]]), 4)
    assert got.count.tolist() == [0, 1, 1, 1]


def test_calibrations_of_two_halves_merge_by_addition():
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 7, 100), rng.dirichlet(np.ones(7), 100)
    halves = calibrate(labels[:30], probabilities[:30]) + calibrate(labels[30:], probabilities[30:])
    whole = calibrate(labels, probabilities)
    assert len(whole.count) == 15
    assert halves.error == pytest.approx(whole.error, abs=1e-12)
    np.testing.assert_array_equal(halves.count, whole.count)


def test_calibration_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no image"):
        calibrate(np.zeros(0, np.int64), np.zeros((0, 7)))
