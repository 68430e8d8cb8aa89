"""Weights converted once: a folder of an Orbax checkpoint and a note on where they came from."""

import dataclasses
import json
import pathlib
import shutil
from typing import Any

import numpy as np
import orbax.checkpoint as ocp

from ferjax.errors import UserError
from ferjax.pretrained import layout
from ferjax.pretrained.weights import Weights, check_finite

_NOTE, _CHECKPOINT = "weights.json", "checkpoint"
_NOTED = ("source", "model", "scaling", "sha256", "ignored")


def write(weights: Weights, folder: pathlib.Path) -> None:
    """Write a folder that `load` takes; it appears whole, and only another one of its kind is replaced.

    Raises UserError for a folder of other things and where it can't be written.
    """
    folder = folder.absolute()
    if folder.exists() and not (folder / _NOTE).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} holds something else: name a new folder with --output.")
    beside, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for leftover in (beside, old):  # of a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        beside.mkdir()
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(beside / _CHECKPOINT, {"params": weights.params, "batch_stats": weights.batch_stats})
        note = {key: value for key, value in dataclasses.asdict(weights).items() if key in _NOTED}
        (beside / _NOTE).write_text(json.dumps(note, indent=2) + "\n")
        if folder.exists():
            folder.rename(old)
        beside.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise UserError(
            f"{folder} can't be written ({error.strerror}): name a folder that you own with --output."
        ) from error


def read(folder: pathlib.Path, model: str | None) -> Weights:
    """The weights in a folder that `write` made; `model` None takes whichever is there. Raises UserError."""
    if not (folder / _NOTE).is_file():
        raise UserError(
            f"{folder} holds no {_NOTE}: name a published file, or a folder that python -m ferjax.pretrained wrote."
        )
    try:
        note = json.loads((folder / _NOTE).read_text())
        found = note["model"]
        if model is not None and found != model:
            raise UserError(
                f"{folder} holds the weights of {found}, not of {model}: set model.name={found}, or convert {model}'s."
            )
        like = _allocate(found)
        with ocp.StandardCheckpointer() as checkpointer:
            trees = checkpointer.restore((folder / _CHECKPOINT).absolute(), like)
        for tree in trees.values():
            for layer, parameters in tree.items():
                for name, values in parameters.items():
                    check_finite(values, f"{layer}/{name}", folder)
        noted = {key: note[key] for key in _NOTED} | {"ignored": tuple(note["ignored"])}
        return Weights(params=trees["params"], batch_stats=trees["batch_stats"], path=str(folder), **noted)
    except UserError:
        raise
    except Exception as error:  # Orbax raises nearly anything on broken bytes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{folder} is damaged ({reason}): delete it, and make it again with python -m ferjax.pretrained."
        ) from error


def _allocate(model: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Arrays of the network's shapes, which Orbax takes as its order to restore into plain numpy."""
    trees: dict[str, dict[str, dict[str, Any]]] = {"params": {}, "batch_stats": {}}
    for place in layout.rename_table("torchvision", model).values():
        values = place.from_published(np.empty(place.published_shape, np.float32), "torchvision")
        trees[place.collection].setdefault(place.layer, {})[place.parameter] = values
    return trees
