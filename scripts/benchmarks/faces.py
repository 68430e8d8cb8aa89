"""The images that every contender reads: the training rows of one data set."""

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int32]
Images = npt.NDArray[np.float32]

SIDE_PX = 48
CLASSES = 7


def load(path: str) -> tuple[Pixels, Labels]:
    """Read gray levels uint8 [n, 48, 48] and labels int32 [n], as the driver wrote them."""
    with np.load(path) as file:
        return file["pixels"], file["labels"]


def load_batch(path: str, batch: int) -> tuple[Images, Labels]:
    """Read the first `batch` rows as float32 [batch, 48, 48, 3] in 0..1, and their labels."""
    pixels, labels = load(path)
    gray = pixels[:batch, :, :, None].astype(np.float32) / 255
    return np.repeat(gray, 3, axis=-1), labels[:batch]
