"""Orbax checkpoints: the state for resuming and the best epoch's variables for using, in one atomic folder."""

import dataclasses
import pathlib
import re
import shutil
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import Array

from ferjax.errors import UserError
from ferjax.parallel import is_main
from ferjax.state import TrainState
from ferjax.training import old_checkpoints

KEPT = 2
# What is to be deleted is renamed into this folder first, so that a kill leaves no half of a checkpoint in the listing.
_TRASH = ".trash"
_UNFINISHED = "*.orbax-checkpoint-tmp*"


@dataclasses.dataclass(frozen=True, order=True)
class Place:
    """The place in training that a checkpoint was saved at; later places compare as greater.

    At an epoch's end there is a place before validation and another one after it. `current` is False for checkpoints
    of earlier versions, whose `step` counts steps and validated epochs together.
    """

    current: bool
    step: int
    validated: bool

    @property
    def name(self) -> str:
        """The checkpoint's folder."""
        if not self.current:
            return str(self.step)
        return f"step_{self.step}{'_validated' if self.validated else ''}"


def parse_place(name: str) -> Place | None:
    """Read a folder's name; None where it is no checkpoint's."""
    if re.fullmatch(r"\d+", name):
        return Place(False, int(name), False)
    found = re.fullmatch(r"step_(\d+)(_validated)?", name)
    return Place(True, int(found[1]), found[2] is not None) if found else None


def list_places(folder: pathlib.Path) -> list[Place]:
    """Return the complete checkpoints in a folder, the oldest first."""
    if not folder.is_dir():
        return []
    places = (parse_place(path.name) for path in folder.iterdir())
    return sorted(place for place in places if place is not None)


class Checkpoints:
    """The checkpoints of one run, each in `folder/step_<n>[_validated]/{state,best,shapes}`; the newest two are kept.

    Each folder appears complete or not at all, and has the last state and the best network together, so that the two
    always belong to one moment.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder.absolute()
        if is_main():
            self._folder.mkdir(parents=True, exist_ok=True)
            for path in self._folder.glob(_UNFINISHED):
                shutil.rmtree(path, ignore_errors=True)
            self._empty_trash()
        self._writer = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler())
        self._writing: Place | None = None

    @property
    def places(self) -> list[Place]:
        """All complete checkpoints, the oldest first."""
        return list_places(self._folder)

    @property
    def latest(self) -> Place | None:
        """The newest complete checkpoint, or None."""
        return max(self.places, default=None)

    def save(self, place: Place, state: TrainState) -> None:
        """Write a checkpoint in the background; does nothing where this one is saved already.

        `state` must keep its memory until the write ends; where the next step overwrites the state, give a copy.
        """
        self._finish()
        if place == self.latest:
            return
        parts = split_state(state)
        self._writer.save(
            self._folder / place.name,
            args=ocp.args.Composite(
                **{name: ocp.args.StandardSave(part) for name, part in parts.items()},
                shapes=ocp.args.JsonSave(describe_shapes(parts)),
            ),
        )

    def restore(self, like: TrainState, place: Place | None = None, *, best_metric: str) -> TrainState:
        """Restore the newest checkpoint, in the shapes and on the devices of `like`.

        With a `place`, that checkpoint; newer ones are deleted, since the run goes on from this one. `best_metric` is
        the score that the run chooses its best epoch by. Raises UserError for a damaged checkpoint, and for one of
        another network or optimizer.
        """
        place = self.latest if place is None else place
        assert place is not None
        folder = self._folder / place.name
        wanted = jax.tree.map(ocp.utils.to_shape_dtype_struct, split_state(like))
        try:
            with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
                saved = reader.restore(folder, args=ocp.args.Composite(shapes=ocp.args.JsonRestore()))["shapes"]
                is_old = old_checkpoints.is_old(saved)
                if is_old:
                    wanted = old_checkpoints.describe(wanted)
                _check_shapes(folder, saved, describe_shapes(wanted))
                args = {name: ocp.args.StandardRestore(part) for name, part in wanted.items()}
                parts = reader.restore(folder, args=ocp.args.Composite(**args))
        except UserError:
            raise
        except Exception as error:  # Orbax raises nearly anything on broken bytes, with the reason as its cause
            reason = str(error.__cause__ or error).splitlines()[0]
            raise UserError(
                f"Checkpoint {folder} is damaged ({reason}): delete that folder to resume an older one, or use another "
                "--workdir."
            ) from error
        self._drop([newer for newer in self.places if newer > place])
        leaves = {**parts["state"], **parts["best"]}
        if is_old:
            leaves = old_checkpoints.convert(leaves, flatten_state(like), best_metric)
        state: TrainState = jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in flatten_state(like)])
        return state

    def wait(self) -> None:
        """Return when every save has reached the disk."""
        self._finish()

    def _finish(self) -> None:
        """Wait for the save under way, then remove all checkpoints but the newest two."""
        self._writer.wait_until_finished()
        self._drop(self.places[:-KEPT])

    def _drop(self, places: list[Place]) -> None:
        if not is_main() or not places:
            return
        trash = self._folder / _TRASH
        trash.mkdir(exist_ok=True)
        for place in places:
            (self._folder / place.name).rename(trash / place.name)
        self._empty_trash()

    def _empty_trash(self) -> None:
        shutil.rmtree(self._folder / _TRASH, ignore_errors=True)

    def close(self) -> None:
        """Finish the save under way, and close."""
        self._finish()
        self._writer.close()


def flatten_state(state: TrainState) -> dict[str, Array]:
    """Return every leaf by its path, since a checkpoint must not depend on the classes of one version of optax."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def split_state(state: TrainState) -> dict[str, dict[str, Array]]:
    """Divide the leaves into the parts of a checkpoint: 'best' is the best epoch's network, 'state' all else."""
    leaves = flatten_state(state)
    best = {name: leaf for name, leaf in leaves.items() if name.startswith("best.")}
    return {"state": {name: leaf for name, leaf in leaves.items() if name not in best}, "best": best}


def describe_shapes(parts: dict[str, dict[str, Any]]) -> dict[str, list[int]]:
    """Return the shape of each leaf of all parts."""
    return {name: list(leaf.shape) for part in parts.values() for name, leaf in part.items()}


def _check_shapes(folder: pathlib.Path, saved: dict[str, list[int]], here: dict[str, list[int]]) -> None:
    """Raise UserError where a checkpoint was made with another network or optimizer."""
    for name in sorted(saved.keys() | here.keys()):
        if saved.get(name) != here.get(name):
            raise UserError(
                f"Checkpoint {folder} is of another network or optimizer ({name} has shape {saved.get(name)} there and "
                f"{here.get(name)} here): use the config that it was made with, or another --workdir."
            )


def read_leaves(checkpoint: pathlib.Path, part: str) -> dict[str, np.ndarray]:
    """Read every array of one part of a checkpoint, 'state' or 'best', by its name, whatever devices wrote it."""
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
        shapes = reader.restore(checkpoint.absolute(), args=ocp.args.Composite(shapes=ocp.args.JsonRestore()))["shapes"]
        names = [name for name in shapes if name.startswith("best.") == (part == "best")]
        restore = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in names}
        args = ocp.args.Composite(**{part: ocp.args.PyTreeRestore(restore_args=restore)})
        leaves: dict[str, np.ndarray] = reader.restore(checkpoint.absolute(), args=args)[part]
    return leaves


def read_network(folder: pathlib.Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the variables of the best epoch in the newest checkpoint of a folder, and what it says of itself.

    A run that has validated no epoch yet has its last variables read. Nothing in the folder is changed. Raises
    UserError for a damaged checkpoint.
    """
    newest = list_places(folder)[-1]
    checkpoint = folder / newest.name
    try:
        best = read_leaves(checkpoint, "best")
        epoch = int(best["best.epoch"])
        # Nothing else of the state is needed, which has two or three times the size of the best.
        state = {"step": np.asarray(newest.step)} if epoch and newest.current else read_leaves(checkpoint, "state")
    except Exception as error:  # Orbax raises nearly anything on broken bytes, with the reason as its cause
        reason = (str(error.__cause__ or error).splitlines() or [repr(error)])[0]
        raise UserError(
            f"Checkpoint {checkpoint} is damaged ({reason}): delete that folder to use an older one."
        ) from error
    if epoch:
        leaves = {name.removeprefix("best."): leaf for name, leaf in best.items()}
    else:  # as state.network_variables has it: the averaged ones where there is an average
        averaged = {name: leaf for name, leaf in state.items() if name.startswith("average.")}
        leaves = {name.removeprefix("average."): leaf for name, leaf in averaged.items()} or state
    variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
    for name, leaf in leaves.items():
        collection, *names = name.split(".")
        if collection in variables:
            *parents, last = names
            place = variables[collection]
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = leaf
    return variables, {"checkpoint": newest.name, "step": int(state["step"]), "best_epoch": epoch}
