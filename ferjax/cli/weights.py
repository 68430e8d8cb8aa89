"""Convert published weights to a folder that ferjax loads.

    ferjax weights WEIGHTS [--model vgg19] [--output FOLDER]

WEIGHTS is who published them ('keras', 'torchvision' or 'timm'), whose file is downloaded where it is not here yet, or
a published file. Training takes the same words and files itself (--config.init.pretrained); a converted folder is for
machines without internet access. `python -m ferjax.pretrained` is the same.
"""

import pathlib
from collections.abc import Mapping, Sequence

from ferjax import networks
from ferjax.cli import endings
from ferjax.cli.flags import Parser, file_path
from ferjax.data.cache import cache_dir
from ferjax.networks.weights import Weights, converted, list_sources, load
from ferjax.networks.weights.loading import read
from ferjax.networks.weights.merging import abbreviate
from ferjax.networks.weights.variables import flatten

# What the scalings of ImageNet's weights are, in words.
_CONVENTIONS: Mapping[str, str] = {
    "imagenet_caffe": "blue, green, red in 0..255, less ImageNet's mean",
    "imagenet_torch": "red, green, blue in 0..1, less ImageNet's mean, over its deviation",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the flags, convert, print what the weights are; return the exit code."""
    default, sources = networks.KEYS["name"].default, ", ".join(list_sources())
    parser = Parser("ferjax weights", f"{__doc__}\n{endings.EXIT_CODES}")
    parser.add_argument("weights", metavar="WEIGHTS", help=f"{sources}, a published file, or a converted folder")
    parser.add_argument(
        "--model",
        choices=[name for name, entry in networks.NETWORKS.items() if entry.published],
        help=f"the network; by default {default} of a source, and of a file the one that it holds",
    )
    parser.add_argument(
        "--output", type=file_path, metavar="FOLDER", help="by default MODEL-SOURCE in the cache folder"
    )
    return endings.run(
        parser,
        arguments,
        lambda found: convert(found.weights, found.model, found.output),
        folder=lambda found: found.output or cache_dir(),
        goes_on=True,
        interrupted="Stopped; what was downloaded is kept, and the same command goes on with it.",
    )


def convert(source: str, model: str | None, output: pathlib.Path | None) -> None:
    """Convert weights to a folder, and print what they are and how to use them. Raises UserError."""
    weights = _load(source, model)
    folder = output or converted.default_folder(weights.source, weights.model)
    converted.write(weights, folder)
    params = flatten(weights.params)
    names = [*params, *flatten(weights.batch_stats)]
    count = sum(values.size for values in params.values())
    convention = _CONVENTIONS.get(weights.scaling, "input scaled as it was")
    rows = {
        "weights": f"{weights.model} of {weights.source}, from {weights.path}",
        "sha256": f"{weights.sha256} of the published file",
        "loaded": f"{len(names)} tensors, {count / 1e6:.2f} M parameters: {abbreviate(names)}",
        "ignored": f"{len(weights.ignored)} tensors{': ' if weights.ignored else ''}{abbreviate(weights.ignored)}",
        "trained on": f"{convention}: --config.input.scaling={weights.scaling}",
        "written to": str(folder),
        "use it with": f"--config.model.name={weights.model} --config.init.pretrained={folder}",
    }
    for title, text in rows.items():
        print(f"{title:<13}{text}")


def _load(source: str, model: str | None) -> Weights:
    if model is not None or source in list_sources():
        return load(source, model or networks.KEYS["name"].default)
    return read(file_path(source), None)
