"""The format safetensors: model.safetensors, config.json and README.md, as model hubs lay out a model."""

import functools
import json
import pathlib
from typing import Any

import ferjax
from ferjax.errors import UserError
from ferjax.export.format import Exported, Format, Runtime
from ferjax.files import write_json, write_text
from ferjax.network import load as load_network
from ferjax.networks.weights.own_network import EXPORTED_FILE

CONFIG_FILE, CARD_FILE = "config.json", "README.md"


def write(exported: Exported, folder: pathlib.Path) -> None:
    """Write the three files; the weights are what `ferjax.load` reads. Raises UserError without a model card."""
    if exported.card is None:
        raise UserError(f"{CARD_FILE} needs the run's numbers: export the run's folder, not a file of its network.")
    exported.network.save(folder / EXPORTED_FILE)
    write_json(folder / CONFIG_FILE, describe(exported), indent=2)
    write_text(folder / CARD_FILE, exported.card)


def describe(exported: Exported) -> dict[str, Any]:
    """Return what config.json holds: what another program needs to use the weights."""
    network = exported.network
    height, width, channels = network.image_shape
    model = {key.removeprefix("model."): network.config[key] for key in network.config if key.startswith("model.")}
    return {
        "architectures": [type(network.module).__name__],
        "model_type": f"ferjax_{network.config['model.name']}",
        "library_name": "ferjax",
        "library_version": ferjax.__version__,
        "num_labels": len(network.classes),
        "id2label": {str(number): name for number, name in enumerate(network.classes)},
        "label2id": {name: number for number, name in enumerate(network.classes)},
        "image_size": [height, width],
        "num_channels": channels,
        "scaling": network.scaling,
        "temperature": network.temperature,
        "unsure_below": network.unsure_below,
        "views": exported.views,
        "model": model,
    }


def load(folder: pathlib.Path) -> Runtime:
    """Load model.safetensors in ferjax, and average over the views that config.json names."""
    views = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["views"]
    return functools.partial(load_network(folder / EXPORTED_FILE), views=views)


FORMAT = Format("ferjax.load, and model hubs", (EXPORTED_FILE, CONFIG_FILE, CARD_FILE), write, load, needs_card=True)
