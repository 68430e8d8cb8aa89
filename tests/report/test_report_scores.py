import numpy as np
import pytest
import sklearn.metrics

from ferjax.data.datasets.fer2013 import EMOTIONS
from ferjax.report import (
    create_report,
)


def test_report_equals_scikit_learn(answers):
    labels, probabilities = answers
    predicted = probabilities.argmax(axis=1)
    report = create_report(labels, probabilities, "test")
    expected = sklearn.metrics.classification_report(
        labels, predicted, labels=range(7), target_names=EMOTIONS, output_dict=True, zero_division=0
    )
    for emotion in EMOTIONS:
        want = {key.replace("f1-score", "f1"): value for key, value in expected[emotion].items()}
        assert report["per_class"][emotion] == pytest.approx(want, abs=1e-12)
    for average in ("macro", "weighted"):
        for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            assert report[f"{average}_{ours}"] == pytest.approx(expected[f"{average} avg"][theirs], abs=1e-12)
    assert report["accuracy"] == pytest.approx((labels == predicted).mean(), abs=1e-12)
    assert report["confusion"] == sklearn.metrics.confusion_matrix(labels, predicted, labels=range(7)).tolist()
    assert report["loss"] == pytest.approx(sklearn.metrics.log_loss(labels, probabilities, labels=range(7)), rel=1e-6)
    assert (report["split"], report["n"]) == ("test", 60)


def test_a_certain_mistake_keeps_the_loss_finite():
    report = create_report(np.array([0]), np.eye(7)[[3]], "test")
    assert report["loss"] == pytest.approx(-np.log(np.finfo(np.float32).tiny))
