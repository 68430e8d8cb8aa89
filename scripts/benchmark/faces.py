"""The images that every contender reads: the training rows of one data set."""

import pathlib

import numpy as np

SIDE_PX = 48
CLASSES = 7


def load(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Gray levels uint8 [n, 48, 48] and labels int32 [n], as the driver wrote them."""
    with np.load(path) as file:
        return file["pixels"], file["labels"]


def load_batch(path: str, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `batch` rows as float32 [batch, 48, 48, 3] in 0..1, and their labels."""
    pixels, labels = load(path)
    gray = pixels[:batch, :, :, None].astype(np.float32) / 255
    return np.repeat(gray, 3, axis=-1), labels[:batch]


def write(path: str, folder: pathlib.Path) -> tuple[str, pathlib.Path]:
    """What ferjax is to read, and the file of the training rows that the peers read; both under `folder`.

    `path` is whatever ferjax reads, or an .npz with pixels, emotion and usage (0 training, 1 public test).
    """
    from configs import random_init
    from ferjax import data

    folder.mkdir(parents=True, exist_ok=True)
    if path.endswith(".npz"):
        path = str(_write_csv(path, folder / "fer2013.csv"))
    config = random_init.get_config().data
    config.path = path
    rows, splits = data.load(**{key: value for key, value in config.items() if key not in ("normalize", "scaling")})
    train = folder / "train.npz"
    np.savez(train, pixels=rows.images[splits["train"]][..., 0], labels=rows.labels[splits["train"]].astype(np.int32))
    return path, train


def _write_csv(path: str, to: pathlib.Path) -> pathlib.Path:
    """The competition's file, `emotion,pixels,Usage`."""
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
