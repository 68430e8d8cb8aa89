"""Write the network of a finished run for other programs, with a model card from what the run measured.

    ferjax export RUN -o FOLDER                     everything below
    ferjax export RUN -o FOLDER -f onnx             model.onnx, for onnxruntime, browsers and phones
    ferjax export RUN -o FOLDER -f stablehlo        model.stablehlo, for JAX without ferjax, on CPU, GPU and TPU
    ferjax export RUN -o FOLDER -f safetensors      model.safetensors, config.json and README.md, for model hubs
    ferjax export -o FOLDER                         ferjax's own network, as model.onnx and model.stablehlo

ONNX and StableHLO take any number of images as uint8, [n, height, width, channels] of the size that the network was
trained on, and give the calibrated probabilities; scaling and temperature are within. Each file is loaded in its own
runtime and compared with the network on drawn faces before it gets its name. The card needs a run's folder, since its
numbers come from there.
"""

import argparse
from collections.abc import Sequence

from ferjax.cli import endings
from ferjax.cli.flags import FlagMistake, Parser, file_path
from ferjax.documents.words import size
from ferjax.views import VIEWS

_NAMES = ("onnx", "stablehlo", "safetensors", "all")
_WITHOUT_CARD = ("onnx", "stablehlo")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the flags, export, print what was written; return the exit code."""
    parser = Parser("ferjax export", f"{__doc__}\n{endings.EXIT_CODES}")
    parser.add_argument(
        "run", metavar="RUN", nargs="?", type=file_path, help="a finished run's folder; else ferjax's own network"
    )
    parser.add_argument("-o", "--output", type=file_path, required=True, metavar="FOLDER", help="where the files go")
    parser.add_argument(
        "-f",
        "--formats",
        metavar="NAMES",
        help=f"one or several, with commas: {', '.join(_NAMES)}; all by default, and of ferjax's own network "
        f"{', '.join(_WITHOUT_CARD)}",
    )
    parser.add_argument(
        "--views",
        choices=list(VIEWS),
        default="none",
        help="what the files average over; the image as it is by default",
    )
    parser.add_argument(
        "--storage",
        choices=("24bit", "float32", "float16"),
        default="24bit",
        help="how model.onnx keeps its numbers; 24bit, the default, is a quarter smaller than float32 and as exact",
    )
    parser.add_argument("--name", help="the model's name on its card; by default that of the run's folder")
    parser.add_argument(
        "--licence",
        default="not-chosen",
        help="the terms of the weights on the card, such as apache-2.0 or cc-by-nc-4.0",
    )
    parser.add_argument(
        "--data_licence",
        default="",
        metavar="TEXT",
        help="the terms of the images on the card, in words, such as those of your own folder",
    )
    return endings.run(parser, arguments, _export, folder=lambda found: found.output)


def _export(found: argparse.Namespace) -> None:
    usual = "all" if found.run else ",".join(_WITHOUT_CARD)
    formats = (found.formats or usual).split(",")
    for name in formats:
        if name not in _NAMES:
            raise FlagMistake(f"--formats={name} is not one of {', '.join(_NAMES)}.")
    from ferjax.export import FORMATS, export, list_left

    chosen = tuple(FORMATS) if "all" in formats else tuple(formats)
    written = export(
        found.run,
        found.output,
        chosen,
        views=found.views,
        storage=found.storage,
        name=found.name,
        licence=found.licence,
        data_licence=found.data_licence,
    )
    for each in written:
        print(f"{each.format:<12} differs from the network by at most {each.difference:.0e}")
        for path in each.files:
            print(f"  {path}  {size(path.stat().st_size)}")
    if left := list_left(found.output, chosen):
        print(f"Left in {found.output} as it was, perhaps of another network: {', '.join(left)}")
