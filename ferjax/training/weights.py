"""The weights that a run begins with: those of another run's folder, or what ferjax.networks.weights finds."""

import hashlib
import pathlib
from typing import Any

import numpy as np

from ferjax import paths
from ferjax.errors import UserError
from ferjax.networks import weights
from ferjax.networks.weights import Weights, own_network
from ferjax.networks.weights.variables import flatten
from ferjax.training.checkpoint import read_network
from ferjax.training.places import list_places
from ferjax.workdir import Workdir


def load(source: str, model: str) -> Weights:
    """Load what `init.pretrained` names; of a run's folder the best epoch. Raises UserError as weights.load does."""
    if (folder := _find_run(source)) is None:
        return weights.load(source, model)
    config = _read_config(folder)
    variables, _ = read_network(Workdir(folder).checkpoints)
    return own_network.create(folder, variables, config, model, sha256=_hash(variables))


def check(source: str, model: str, width: float) -> None:
    """Raise UserError for what `load` would refuse and what shows at once; see weights.check."""
    if (folder := _find_run(source)) is None:
        weights.check(source, model, width)
    else:
        own_network.check_model(folder, _read_config(folder), model)


def _find_run(source: str) -> pathlib.Path | None:
    """Return the run's folder that `source` names; None where it names something else."""
    if source == "none" or source == own_network.WORD or source in weights.list_sources():
        return None
    folder = paths.parse(source)
    return folder if Workdir(folder).config.is_file() and Workdir(folder).data.is_file() else None


def _read_config(folder: pathlib.Path) -> dict[str, Any]:
    """Return a run's config. Raises UserError for a run that has saved nothing yet."""
    workdir = Workdir(folder)
    config = workdir.read_config()
    if config is None or not list_places(workdir.checkpoints):
        raise UserError(f"{folder} holds no trained network: name the folder of a run that has saved a checkpoint.")
    return config


def _hash(variables: dict[str, Any]) -> str:
    """Return the digest of all values, with their names, in the order of these."""
    digest = hashlib.sha256()
    for name, leaf in sorted(flatten(variables).items()):
        digest.update(name.encode() + np.asarray(leaf).tobytes())
    return digest.hexdigest()
