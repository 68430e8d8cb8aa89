"""One data set for all: as ferjax reads it, and its training rows as the peers do."""

import pathlib

import numpy as np

from ferjax import data
from ferjax.config import load_config
from scripts.benchmarks.faces import SIDE_PX


def write(path: str, folder: pathlib.Path) -> tuple[str, pathlib.Path]:
    """Return what ferjax is to read, and the file of the training rows that the peers read; both under `folder`.

    `path` is whatever ferjax reads, or an .npz with pixels, emotion and usage (0 training, 1 public test).
    """
    folder.mkdir(parents=True, exist_ok=True)
    if path.endswith(".npz"):
        path = str(_write_csv(path, folder / "fer2013.csv"))
    config = load_config("random_init", {"data.path": path})
    rows, splits = data.load(**config.data)
    chosen = splits["train"]
    train = folder / "train.npz"
    np.savez(train, pixels=rows.images[chosen, :, :, 0], labels=rows.labels[chosen].astype(np.int32))
    return path, train


def _write_csv(path: str, to: pathlib.Path) -> pathlib.Path:
    """Write the competition's file, `emotion,pixels,Usage`."""
    numbers = [str(level) for level in range(256)]
    with np.load(path) as file:
        columns = file["pixels"].reshape(-1, SIDE_PX * SIDE_PX), file["emotion"], file["usage"]
    with to.with_suffix(".part").open("w") as lines:
        lines.write("emotion,pixels,Usage\n")
        for pixels, emotion, usage in zip(*columns, strict=True):
            text = " ".join([numbers[level] for level in pixels.tolist()])
            lines.write(f"{emotion},{text},{('Training', 'PublicTest')[usage]}\n")
    to.with_suffix(".part").rename(to)
    return to
