"""The numbers that a run leaves, written in a moment, and the words of a figure."""

import json

import numpy as np
import pytest

from ferjax.figures import (
    Curve,
)
from ferjax.report import choose_worst, create_report, write_predictions, write_report


def make_line(step, split, *, accuracy=0.5, **more):
    return {"step": step, "epoch": step / 10, "split": split, "loss": 2 - step / 100, "accuracy": accuracy, **more}


FULL = [make_line(step, "train_step", learning_rate=1e-4, images_per_s=9.0) for step in range(5, 41, 5)]


FULL += [make_line(step, "train", learning_rate=1e-4, images_per_s=9.0) for step in (10, 20, 30, 40)]


FULL += [make_line(step, "validation", accuracy=a) for step, a in ((10, 0.3), (20, 0.6), (30, 0.6), (40, 0.4))]


def write_metrics(workdir, lines, tail=""):
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)


@pytest.fixture
def workdir(tmp_path):
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 7, 40), rng.dirichlet(np.ones(7), 40)
    rows = 200 + np.arange(40)
    write_predictions(tmp_path / "predictions.csv", row=rows, split="test", labels=labels, probabilities=probabilities)
    write_report(tmp_path, create_report(labels, probabilities, "test"))
    worst = choose_worst(labels, probabilities, k=8)
    pixels = rng.integers(0, 256, (len(worst), 48, 48)).astype(np.uint8)
    np.savez(tmp_path / "worst_mistakes.npz", pixels=pixels, row=rows[worst])
    counts = {"train": [70, 7, 70, 140, 70, 70, 70], "validation": [5] * 7, "test": [0] * 7}
    data = {"path": "synthetic", "digest": "", "counts": counts, "skipped": [], "notes": []}
    (tmp_path / "data.json").write_text(json.dumps(data))
    write_metrics(tmp_path, FULL)
    return tmp_path


def read_text(figure):
    """All words of a figure."""
    texts = [figure.get_suptitle(), *(text.get_text() for text in figure.texts)]
    for axes in figure.axes:
        texts += [axes.get_title(), *(text.get_text() for text in axes.texts)]
        if axes.get_legend():
            texts += [text.get_text() for text in axes.get_legend().get_texts()]
    return "\n".join(texts)


def make_curve(epochs, accuracy):
    epochs, accuracy = np.array(epochs, np.float64), np.array(accuracy, np.float64)
    return Curve(epochs, 2 - accuracy, accuracy, np.full(len(epochs), np.nan))
