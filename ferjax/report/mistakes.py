"""worst_mistakes.npz: the images of a run's most confident mistakes, for their figure."""

import pathlib

import numpy as np
from jaxtyping import Int, UInt8

from ferjax.files import replacing


def write_worst_mistakes(
    path: pathlib.Path, images: UInt8[np.ndarray, "k side side channels"], row: Int[np.ndarray, " k"]
) -> None:
    """Write the images and their row numbers as `pixels` and `row`; gray images have no axis of channels there."""
    with replacing(path) as beside:
        np.savez(beside, pixels=images[..., 0] if images.shape[-1] == 1 else images, row=row)
