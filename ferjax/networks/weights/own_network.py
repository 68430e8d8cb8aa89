"""A network that ferjax trained, as the start of another run: all but its head, which the new classes need anew."""

import pathlib
from collections.abc import Mapping
from typing import Any

from ferjax.data.cache import hash_file
from ferjax.errors import UserError
from ferjax.networks import saved
from ferjax.networks.weights.variables import Weights

WORD = "ferjax"  # what the config calls the network that ferjax brings along
EXPORTED_FILE = "model.safetensors"  # the network in a folder that `ferjax export` wrote
_HEAD = "head"


def read(path: pathlib.Path, model: str) -> Weights:
    """Read the weights in a file that `Network.save` wrote; raises UserError where it holds another network."""
    variables, facts = saved.read(path)
    return create(path, variables, _find_config(path, facts), model, sha256=hash_file(path))


def create(
    path: pathlib.Path, variables: Mapping[str, Any], config: Mapping[str, Any], model: str, *, sha256: str
) -> Weights:
    """Make weights of a network's variables, all but its head; raises UserError where it is another than `model`."""
    check_model(path, config, model)
    return Weights(
        params={name: leaf for name, leaf in variables["params"].items() if name != _HEAD},
        batch_stats=variables["batch_stats"],
        source=WORD,
        model=model,
        scaling=str(config["input.scaling"]),
        sha256=sha256,
        ignored=(_HEAD,),
        path=str(path),
    )


def check(path: pathlib.Path, model: str) -> None:
    """Raise UserError where the file holds another network, or none that can be read."""
    check_model(path, _find_config(path, saved.read(path)[1]), model)


def check_model(path: pathlib.Path, config: Mapping[str, Any], wanted: str) -> None:
    """Raise UserError where the network with this config, at `path`, is another than `wanted`."""
    here = config["model.name"]
    if here != wanted:
        raise UserError(f"{path} holds weights of {here}, and model.name is {wanted}: set model.name={here}.")


def _find_config(path: pathlib.Path, facts: dict[str, Any]) -> dict[str, Any]:
    config = facts.get("config")
    if not isinstance(config, dict) or not {"model.name", "input.scaling"} <= config.keys():
        raise UserError(f"{path} does not say of which network its weights are: save the network again.")
    return config
