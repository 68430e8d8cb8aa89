"""Show which pixels of a picture an answer comes from.

    ferjax explain face.png                                     Grad-CAM of the most probable class, by ferjax's network
    ferjax explain face.png --network RUN --target sad                       why not sad?
    ferjax explain a.png b.png --network RUN --method integrated_gradients -o FOLDER

A picture is taken as one face. Beside it, or in FOLDER, goes a picture with the map over it: NAME_grad_cam.png, from
dark violet to yellow where the network looked; NAME_integrated_gradients.png, red for pixels that speak for the class
and blue for those against it. --arrays keeps the numbers too, in units of the class's logit, as NAME_<method>.npy.
"""

import argparse
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from ferjax.cli import endings
from ferjax.cli.flags import FlagMistake, Parser, file_path
from ferjax.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the flags, explain each picture, print the answers and where the maps are; return the exit code."""
    parser = Parser("ferjax explain", f"{__doc__}\n{endings.EXIT_CODES}")
    parser.add_argument("images", nargs="+", type=file_path, metavar="IMAGE", help="pictures of one face each")
    parser.add_argument(
        "--network",
        type=file_path,
        metavar="RUN",
        help="a run's folder, or a file of Network.save; without it, ferjax's own network",
    )
    parser.add_argument("--method", default="grad_cam", help="grad_cam (the default) or integrated_gradients")
    parser.add_argument(
        "--target", metavar="CLASS", help="the class to explain; each picture's most probable by default"
    )
    parser.add_argument("-o", "--output", type=file_path, metavar="FOLDER", help="where the maps go")
    parser.add_switch("--arrays", "keep the numbers of each map too")
    return endings.run(parser, arguments, _explain, folder=lambda found: found.output or found.images[0].parent)


def _explain(found: argparse.Namespace) -> None:
    from ferjax.explain import EXPLANATIONS, explain, overlay
    from ferjax.network import load

    if found.method not in EXPLANATIONS:
        raise FlagMistake(f"--method={found.method} is not one of {', '.join(EXPLANATIONS)}.")
    network = load(found.network)
    if found.target is not None and found.target not in network.classes:
        raise FlagMistake(f"--target={found.target} is not one of {', '.join(network.classes)}.")
    unreadable = []
    for path in found.images:
        try:
            picture = _read(path)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            unreadable.append(f"{path} ({error})")
            continue
        face = network.fit(picture)
        (probabilities,) = network(face)
        try:
            (values,) = explain(network, face, found.method, found.target)
        except ValueError as error:
            raise UserError(f"{found.network} cannot be explained by --method={found.method}: {error}.") from error
        name = found.target or network.classes[int(probabilities.argmax())]
        place = (found.output or path.parent) / f"{path.stem}_{found.method}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(overlay(picture, values, signed=EXPLANATIONS[found.method].signed)).save(place)
        if found.arrays:
            np.save(place.with_suffix(".npy"), values)
        print(f"{path}  {name} {probabilities[network.classes.index(name)]:.1%}  {place}")
    if unreadable:
        raise UserError(
            f"{len(unreadable)} of {len(found.images)} pictures could not be read: {'; '.join(unreadable)}."
        )


def _read(path: pathlib.Path) -> UInt8[np.ndarray, "h w 3"]:
    """Read a picture as red, green and blue, turned as its camera was held."""
    with Image.open(path) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
