import numpy as np
import pytest
import sklearn.metrics

from ferjax.metrics import confusion_matrix, summarize

CASES = {
    "random": (np.random.default_rng(0).integers(0, 7, 500), np.random.default_rng(1).integers(0, 7, 500)),
    "one row": (np.array([3]), np.array([3])),
    "all wrong": (np.array([0, 1, 2]), np.array([1, 2, 0])),
    "one guess": (np.arange(70) % 7, np.full(70, 3)),
    "never predicted": (np.array([0, 0, 1, 1, 2]), np.array([0, 0, 0, 0, 0])),
    "absent but predicted": (np.array([0, 0, 1]), np.array([0, 6, 1])),
    "neither": (np.array([0, 1, 1]), np.array([0, 1, 0])),
}


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
