"""The command that converts published weights to a folder that ferjax loads.

    python -m ferjax.pretrained WEIGHTS [--model vgg19] [--output FOLDER]

WEIGHTS is who published them ('keras', 'torchvision' or 'timm'), whose file is downloaded where it is not here yet, or
a published file. Training takes the same words and files itself (--config.model.pretrained); a converted folder is for
machines without internet access.
"""

import argparse
import contextlib
import logging
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence

from ferjax import networks
from ferjax.errors import UserError
from ferjax.networks.weights import Weights, converted, list_sources, load
from ferjax.networks.weights.loading import read
from ferjax.networks.weights.merging import abbreviate
from ferjax.networks.weights.variables import flatten

# What the scalings of ImageNet's weights are, in words.
_CONVENTIONS: Mapping[str, str] = {
    "imagenet_caffe": "blue, green, red in 0..255, less ImageNet's mean",
    "imagenet_torch": "red, green, blue in 0..1, less ImageNet's mean, over its deviation",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, or 1 after a mistake that the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m ferjax.pretrained", description="Convert published weights once.")
    default, sources = networks.KEYS["name"].default, ", ".join(list_sources())
    parser.add_argument("weights", metavar="WEIGHTS", help=f"{sources}, a published file, or a converted folder")
    parser.add_argument(
        "--model",
        choices=[name for name, entry in networks.NETWORKS.items() if entry.published],
        help=f"the network; by default {default} of a source, and of a file the one that it holds",
    )
    parser.add_argument(
        "--output", type=pathlib.Path, metavar="FOLDER", help="by default MODEL-SOURCE in the cache folder"
    )
    args = parser.parse_args(argv)
    try:
        with _logging_to_stderr():
            convert(args.weights, args.model, args.output)
    except UserError as error:
        print(f"ferjax: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ferjax: stopped; what was downloaded is kept, and the same command goes on with it.", file=sys.stderr)
        return 130
    return 0


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
        "trained on": f"{convention}: --config.data.scaling={weights.scaling}",
        "written to": str(folder),
        "use it with": f"--config.model.name={weights.model} --config.model.pretrained={folder}",
    }
    for title, text in rows.items():
        print(f"{title:<13}{text}")


def _load(source: str, model: str | None) -> Weights:
    if model is not None or source in list_sources():
        return load(source, model or networks.KEYS["name"].default)
    return read(pathlib.Path(source), None)


@contextlib.contextmanager
def _logging_to_stderr() -> Iterator[None]:
    logger, handler = logging.getLogger("ferjax"), logging.StreamHandler(sys.stderr)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # libraries leave a handler on the root logger, which would say everything twice
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
