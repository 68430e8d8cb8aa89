import numpy as np
import pytest
import sklearn.metrics

from ferjax.scores.confusion import calibrate, confusion_matrix, summarize

CASES = {
    "random": (np.random.default_rng(0).integers(0, 7, 500), np.random.default_rng(1).integers(0, 7, 500)),
    "one row": (np.array([3]), np.array([3])),
    "all wrong": (np.array([0, 1, 2]), np.array([1, 2, 0])),
    "one guess": (np.arange(70) % 7, np.full(70, 3)),
    "never predicted": (np.array([0, 0, 1, 1, 2]), np.array([0, 0, 0, 0, 0])),
    "absent but predicted": (np.array([0, 0, 1]), np.array([0, 6, 1])),
    "neither": (np.array([0, 1, 1]), np.array([0, 1, 0])),
}
# Few rows of many classes: some class is absent, some never predicted, some both.
for seed in range(12):
    rng = np.random.default_rng(seed)
    CASES[f"random {seed}"] = tuple(rng.choice(7, 2 + seed, p=rng.dirichlet(np.full(7, 0.4))) for _ in range(2))


@pytest.mark.parametrize("case", CASES)
def test_scores_equal_scikit_learn(case):
    labels, predicted = CASES[case]
    confusion = confusion_matrix(labels, predicted, 7)
    np.testing.assert_array_equal(confusion, sklearn.metrics.confusion_matrix(labels, predicted, labels=range(7)))
    summary = summarize(confusion)

    def expect(average):
        return sklearn.metrics.precision_recall_fscore_support(
            labels, predicted, labels=range(7), zero_division=0, average=average
        )

    for key, value in zip(("precision", "recall", "f1", "support"), expect(None), strict=True):
        np.testing.assert_allclose(summary[key], value, rtol=0, atol=1e-12)
    for average in ("macro", "weighted"):
        got = [summary[f"{average}_{key}"] for key in ("precision", "recall", "f1")]
        np.testing.assert_allclose(got, expect(average)[:3], rtol=0, atol=1e-12)
    assert summary["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted), abs=1e-12)


def test_rows_are_true_classes():
    confusion = confusion_matrix(np.array([2, 2]), np.array([0, 2]), 3)
    assert confusion.tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 1]]


def test_narrow_labels_do_not_wrap():
    labels = np.full(5, 30, np.int8)
    assert confusion_matrix(labels, labels, 31)[30, 30] == 5


@pytest.mark.parametrize("bad", [-1, 7])
def test_a_class_out_of_range_is_refused(bad):
    with pytest.raises(ValueError, match=r"predicted holds a class outside 0\.\.6"):
        confusion_matrix(np.array([0]), np.array([bad]), 7)


def test_nothing_counted_is_refused():
    with pytest.raises(ValueError, match="no image"):
        summarize(np.zeros((7, 7), np.int64))


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
