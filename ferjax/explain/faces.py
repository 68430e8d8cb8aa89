"""The faces of a picture with the maps of their answers over them, for ferjax.inference.stream."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, UInt8

from ferjax.errors import UserError
from ferjax.explain import EXPLANATIONS, explain, overlay
from ferjax.inference import crops
from ferjax.inference.faces import Faces
from ferjax.inference.pictures import to_rgb
from ferjax.inference.pipeline import Look
from ferjax.network import Network


def create_look(network: Network, method: str) -> Look:
    """Make what lays the map of each face's most probable class over the face; `method` is a name of EXPLANATIONS.

    It raises UserError for a network that the method cannot explain.
    """
    signed = EXPLANATIONS[method].signed

    def look(found: Faces, probabilities: Float32[np.ndarray, "n k"]) -> Sequence[UInt8[np.ndarray, "h w 3"]]:
        if found.inputs is None or found.picture.pixels is None:
            raise ValueError(f"{found.picture.source} has no pixels: they were not kept.")
        try:
            maps = explain(network, found.inputs, method, probabilities.argmax(axis=1))
        except ValueError as error:
            raise UserError(f"The network cannot be explained by {method}: {error}.") from error
        pixels = to_rgb(found.picture.pixels)
        return [
            overlay(crops.cut(pixels, place), values, signed=signed, least_side_px=1)
            for place, values in zip(found.places, maps, strict=True)
        ]

    return look
