import numpy as np
import pytest

from ferjax.report import write_predictions


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 60).astype(np.int32)
    logits = rng.normal(size=(60, 7)) + 2 * np.eye(7)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, probabilities.astype(np.float32)


@pytest.fixture
def path(tmp_path, answers):
    labels, probabilities = answers
    path = tmp_path / "predictions.csv"
    write_predictions(path, row=np.arange(100, 160), split="test", labels=labels, probabilities=probabilities)
    return path
