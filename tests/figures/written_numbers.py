"""The numbers that a run leaves, written in a moment, and the words of a figure."""

import json

import numpy as np

from ferjax.figures import (
    Curve,
)


def make_line(step, split, *, accuracy=0.5, **more):
    return {"step": step, "epoch": step / 10, "split": split, "loss": 2 - step / 100, "accuracy": accuracy, **more}


FULL = [make_line(step, "train_step", learning_rate=1e-4, images_per_s=9.0) for step in range(5, 41, 5)]


FULL += [make_line(step, "train", learning_rate=1e-4, images_per_s=9.0) for step in (10, 20, 30, 40)]


FULL += [make_line(step, "validation", accuracy=a) for step, a in ((10, 0.3), (20, 0.6), (30, 0.6), (40, 0.4))]


def write_metrics(workdir, lines, tail=""):
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)


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
