"""The pictures that every contender is given; to read them takes numpy alone, since peers have their own packages."""

import pathlib

import numpy as np
import numpy.typing as npt

from scripts.benchmarks import faces
from scripts.benchmarks.peers.packages import CROPS

Picture = npt.NDArray[np.uint8]

PICTURE_FILE, NETWORK_FILE = "picture.npy", "network.safetensors"


def read_crops(data: str, batch: int) -> faces.Pixels:
    """Read the first `batch` gray faces, uint8 [batch, 48, 48]."""
    return faces.load(data)[0][:batch]


def read_picture(data: str) -> Picture:
    """Read the picture with one face, which lies beside the crops: uint8 [360, 640, 3], red, green, blue."""
    picture: Picture = np.load(find_beside(data, PICTURE_FILE))
    return picture


def find_beside(data: str, name: str) -> pathlib.Path:
    """Return the file of that name in the folder of the crops."""
    return pathlib.Path(data).parent / name


def check_faces(found: int, task: str, batch: int) -> None:
    """Raise ValueError where there is not an answer for each crop, or not just one face in the picture.

    A detector that finds nothing spares the package its network, and would win.
    """
    expected = batch if task == CROPS else 1
    if found != expected:
        raise ValueError(f"{found} answers where {expected} were expected")
