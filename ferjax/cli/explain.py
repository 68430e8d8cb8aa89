"""Show which pixels of a picture an answer comes from.

    ferjax explain photo.jpg                                    Grad-CAM of each face, by ferjax's network
    ferjax explain face.png --network RUN --target sad                       why not sad?
    ferjax explain a.png b.png --network RUN --method integrated_gradients -o FOLDER

Faces are found and cut out as `ferjax predict` does it; with --crops a picture is one face. Beside the picture, or in
FOLDER, goes each face with the map over it: NAME_grad_cam.png, from dark violet to yellow where the network looked;
NAME_integrated_gradients.png, red for pixels that speak for the class and blue for those against it. Of several faces
the second is NAME_1_grad_cam.png. --arrays keeps the numbers too, in units of the class's logit, as NAME_<method>.npy.
"""

import argparse
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ferjax.cli import endings
from ferjax.cli.flags import FlagMistake, Parser, file_path
from ferjax.cli.predict import EXPLANATIONS
from ferjax.documents.words import to_line
from ferjax.errors import UserError
from ferjax.files import replacing

if TYPE_CHECKING:
    from ferjax.inference.faces import Faces
    from ferjax.inference.marks import Places
    from ferjax.network import Network


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the flags, explain each picture, print the answers and where the maps are; return the exit code."""
    parser = Parser("ferjax explain", f"{__doc__}\n{endings.EXIT_CODES}")
    parser.add_argument("images", nargs="+", type=file_path, metavar="IMAGE", help="pictures with faces")
    parser.add_argument(
        "--network",
        type=file_path,
        metavar="RUN",
        help="a run's folder, or a file of Network.save; without it, ferjax's own network",
    )
    parser.add_argument("--method", default="grad_cam", help=f"{', '.join(EXPLANATIONS)}; grad_cam by default")
    parser.add_argument(
        "--target", metavar="CLASS", help="the class to explain; each picture's most probable by default"
    )
    parser.add_argument("-o", "--output", type=file_path, metavar="FOLDER", help="where the maps go")
    parser.add_switch("--crops", "every picture is a ready crop of one face: no face is sought")
    parser.add_switch("--arrays", "keep the numbers of each map too")
    return endings.run(parser, arguments, _explain, folder=lambda found: found.output or found.images[0].parent)


def _explain(found: argparse.Namespace) -> int:
    from ferjax.inference.answers import describe_place
    from ferjax.inference.faces import create_tasks, cut_out
    from ferjax.inference.marks import Places
    from ferjax.inference.sources import find_pictures
    from ferjax.network import load

    if found.method not in EXPLANATIONS:
        raise FlagMistake(f"--method={found.method} is not one of {', '.join(EXPLANATIONS)}.")
    network = load(found.network)
    if found.target is not None and found.target not in network.classes:
        raise FlagMistake(f"--target={found.target} is not one of {', '.join(network.classes)}.")
    unreadable, places = 0, Places()
    for path in found.images:
        loads = find_pictures(path)
        for task in create_tasks(loads, detect=not found.crops, boxes=None, detector=None):
            faces = cut_out(task, network, keep_pixels=True)
            if faces.picture.reason:
                unreadable += 1
                print(f"{describe_place(faces.picture)}  {faces.picture.reason}")
            elif faces.inputs is None:
                place = describe_place(faces.picture)
                print(f"{place}  no face was found; with --crops the whole picture is taken for one")
            else:
                _explain_faces(found, network, faces, places)
    return endings.UNREADABLE if unreadable else 0


def _explain_faces(found: argparse.Namespace, network: "Network", faces: "Faces", places: "Places") -> None:
    """Write a map for each face of a picture, over no other and no file of the user's; print the answers."""
    from ferjax.explain import EXPLANATIONS, explain, overlay
    from ferjax.inference import crops
    from ferjax.inference.answers import describe_place
    from ferjax.inference.marks import PNG_KEY, create_mark, has_array
    from ferjax.inference.pictures import to_rgb

    assert faces.inputs is not None
    assert faces.picture.pixels is not None
    probabilities = network(faces.inputs)
    try:
        maps = explain(network, faces.inputs, found.method, found.target)
    except ValueError as error:
        raise UserError(f"{found.network} cannot be explained by --method={found.method}: {error}.") from error
    source = faces.picture.source
    folder = found.output or pathlib.Path(source).parent
    folder.mkdir(parents=True, exist_ok=True)
    for number, (values, row, place) in enumerate(zip(maps, probabilities, faces.places, strict=True)):
        name = found.target or network.classes[int(row.argmax())]
        frame = "" if faces.picture.frame is None else f"_frame{faces.picture.frame}"
        stem = f"{pathlib.PurePath(source).stem}{frame}{f'_{number}' if number else ''}_{found.method}"
        file = places.choose(folder / f"{stem}.png", source, array=".npy" if found.arrays else "")
        texts = PngInfo()
        texts.add_text(PNG_KEY, create_mark(source, with_array=found.arrays or has_array(file)))
        seen = crops.cut(to_rgb(faces.picture.pixels), place)
        with replacing(file) as beside:
            Image.fromarray(overlay(seen, values, signed=EXPLANATIONS[found.method].signed)).save(beside, pnginfo=texts)
        if found.arrays:
            with replacing(file.with_suffix(".npy")) as beside:
                np.save(beside, values)
        print(f"{describe_place(faces.picture)}  {name} {row[network.classes.index(name)]:.1%}  {to_line(str(file))}")
