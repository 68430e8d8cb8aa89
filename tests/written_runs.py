"""Folders of runs as training leaves them, written in a moment: 42 images, 7 classes."""

import importlib
import json

import numpy as np

from ferjax.report import write_predictions

N = 42
# The images of FER-2013, whose few that are written here stand for all.
COUNTS = {"train": [28_709, 0], "validation": [3_589, 0], "test": [3_589, 0]}


def write_run(folder, seed, *, config="optimal", changes=(), split="test", wrong=10, epochs=3, copies=(100, 101)):
    """A finished run in which `wrong` images, drawn by the seed, are answered wrongly; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    values = json.loads(importlib.import_module(f"configs.{config}").get_config().to_json())
    values["train"]["seed"] = seed
    for key, value in dict(changes).items():
        group, name = key.split(".")
        values[group][name] = value
    (folder / "config.json").write_text(json.dumps(values))
    data = {
        "path": "faces.csv",
        "digest": "d",
        "counts": COUNTS,
        "skipped": [],
        "notes": [],
        "copies": {split: list(copies)},
    }
    (folder / "data.json").write_text(json.dumps(data))
    rng = np.random.default_rng(seed)
    labels = np.arange(N) % 7
    answers = labels.copy()
    answers[rng.permutation(N)[:wrong]] += 1
    confidence = rng.uniform(0.5, 0.95, N)
    probabilities = np.repeat((1 - confidence)[:, None] / 6, 7, axis=1)
    probabilities[np.arange(N), answers % 7] = confidence
    write_predictions(
        folder / "predictions.csv", row=100 + np.arange(N), split=split, labels=labels, probabilities=probabilities
    )
    lines = [
        {
            "step": 10 * epoch,
            "epoch": float(epoch),
            "split": name,
            "loss": 2 - 0.1 * epoch,
            "accuracy": 0.1 * epoch + seed / 100,
        }
        for epoch in range(1, epochs + 1)
        for name in ("train", "validation")
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def edit_json(path, /, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
