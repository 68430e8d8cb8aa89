"""Weights that were converted once: a folder of an Orbax checkpoint and a note on where they came from."""

import dataclasses
import json
import logging
import pathlib
import shutil
from typing import Any

import numpy as np

from ferjax import networks, paths
from ferjax.data.cache import cache_dir
from ferjax.errors import UserError
from ferjax.networks.weights.variables import Variables, Weights, check_finite, create_trees, flatten

_NOTE, _CHECKPOINT = "weights.json", "checkpoint"
_NOTED = ("source", "model", "scaling", "sha256", "ignored")

logger = logging.getLogger("ferjax")


def default_folder(source: str, model: str) -> pathlib.Path:
    """Return where a conversion is written to if the user names no other place."""
    return cache_dir() / "weights" / f"{model}-{source}"


def find(source: str, model: str, sha256: str | None) -> pathlib.Path | None:
    """Find the conversion of a source's published file in the default folder; None where there is none.

    `sha256` is the first digits of the published file's digest, where they are known: a conversion of another file is
    not taken for the published one. Raises UserError where the folder is damaged or of another source or network.
    """
    folder = default_folder(source, model)
    if not (folder / _NOTE).is_file():
        return None
    note = read_note(folder, model)
    if note["source"] != source:
        raise UserError(
            f"{folder} holds the weights of {note['source']}, not of {source}: move it elsewhere, and start again."
        )
    if sha256 and not note["sha256"].startswith(sha256):
        logger.warning(
            "%s is of another file than %s publishes (its sha256 is %s), so it is not taken; init.pretrained=%s does",
            *(folder, source, note["sha256"], folder),
        )
        return None
    return folder


def write(weights: Weights, folder: pathlib.Path) -> None:
    """Write a folder that `load` takes; it appears complete or not at all, and replaces only one of its own kind.

    Raises UserError for a folder of other things and where it cannot be written.
    """
    folder = folder.absolute()
    beside, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    try:
        if folder.exists() and not _may_replace(folder):
            raise UserError(f"{folder} holds something else: name a new folder with --output.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        for leftover in (beside, old):  # of a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        beside.mkdir()
        import orbax.checkpoint as ocp  # takes longer than flax, and few runs need it here

        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(
                paths.find_alias(beside) / _CHECKPOINT, {"params": weights.params, "batch_stats": weights.batch_stats}
            )
        note = {key: value for key, value in dataclasses.asdict(weights).items() if key in _NOTED}
        (beside / _NOTE).write_text(json.dumps(note, indent=2) + "\n")
        if folder.exists():
            folder.rename(old)
        beside.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise UserError(
            f"{folder} cannot be written ({error.strerror}): name a folder that you own with --output."
        ) from error


def read(folder: pathlib.Path, model: str | None) -> Weights:
    """Read the weights in a folder that `write` made; `model` None takes whichever is there. Raises UserError."""
    note = read_note(folder, model)
    try:
        like = _allocate(note["source"], note["model"])
        import orbax.checkpoint as ocp  # takes longer than flax, and few runs need it here

        with ocp.StandardCheckpointer() as checkpointer:
            trees = checkpointer.restore(paths.find_alias(folder) / _CHECKPOINT, like)
        for tree in trees.values():
            for name, values in flatten(tree).items():
                check_finite(values, name, folder)
        return Weights(params=trees["params"], batch_stats=trees["batch_stats"], path=str(folder), **note)
    except UserError:
        raise
    except Exception as error:  # Orbax raises nearly anything on broken bytes
        raise _damage(folder, str(error).splitlines()[0] if str(error) else type(error).__name__) from error


def read_note(folder: pathlib.Path, model: str | None) -> dict[str, Any]:
    """Read what `write` noted of the weights: source, model, scaling, sha256 and ignored. Raises UserError."""
    if not (folder / _NOTE).is_file():
        raise UserError(
            f"{folder} holds no {_NOTE}: name a published file, or a folder that python -m ferjax.pretrained wrote."
        )
    note = _parse_note(folder)
    if note is None:
        raise _damage(folder, f"{_NOTE} is not as it was written")
    if model is not None and note["model"] != model:
        raise UserError(
            f"{folder} holds the weights of {note['model']}, not of {model}: set model.name={note['model']}, or "
            f"convert {model}'s."
        )
    return note


def _parse_note(folder: pathlib.Path) -> dict[str, Any] | None:
    """Return the note, or None where it has other values than `write` gives it."""
    try:
        note = json.loads((folder / _NOTE).read_text())
        noted = {key: note[key] for key in _NOTED} | {"ignored": tuple(note["ignored"])}
        known = noted["source"] in networks.NETWORKS[noted["model"]].published
    except (OSError, ValueError, KeyError, TypeError):
        return None
    texts = (noted["scaling"], noted["sha256"], *noted["ignored"])
    return noted if known and all(isinstance(text, str) for text in texts) else None


def _may_replace(folder: pathlib.Path) -> bool:
    """Return whether a folder is empty or holds nothing but what `write` put there."""
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    return not names or (names == {_NOTE, _CHECKPOINT} and _parse_note(folder) is not None)


def _damage(folder: pathlib.Path, reason: str) -> UserError:
    return UserError(f"{folder} is damaged ({reason}): delete it, and make it again with python -m ferjax.pretrained.")


def _allocate(source: str, model: str) -> dict[str, Variables]:
    """Return arrays of the network's shapes, by which Orbax restores into plain numpy arrays."""
    table = networks.NETWORKS[model].published[source].table
    return create_trees((place, place.convert(np.empty(place.published_shape, np.float32))) for place in table.values())
