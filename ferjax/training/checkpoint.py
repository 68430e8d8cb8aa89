"""Orbax checkpoints: the state for resuming and the best epoch's variables for using, in one atomic folder."""

import contextlib
import functools
import logging
import os
import pathlib
import shutil
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from ferjax import paths
from ferjax.errors import UserError
from ferjax.parallel import is_main
from ferjax.state import TrainState
from ferjax.training import checksums, old_checkpoints, orbax_memory
from ferjax.training.damage import DamagedCheckpoint, find_refusal, reading
from ferjax.training.places import Place, list_places

logger = logging.getLogger("ferjax")

KEPT = 2
# What is to be deleted is renamed into this folder first, so that a kill leaves no half of a checkpoint in the listing.
_TRASH = ".trash"
_UNFINISHED = "*.orbax-checkpoint-tmp*"


@functools.cache
def _import_orbax() -> Any:
    """Import Orbax, which takes longer than flax, when it is first needed: that is not before the first step."""
    with jax.transfer_guard("allow"):  # what modules do as they are imported is no step's affair
        import orbax.checkpoint
    with contextlib.suppress(ImportError):  # another version of Orbax has its parts elsewhere
        orbax_memory.save_memory()
    return orbax.checkpoint


def _run_apart(work: Callable[[], object]) -> None:
    """Do some work in a thread that the interpreter does not wait for as it exits, and return when it is done.

    Threads that it begins inherit that. Of a save that is refused as it begins, some of Orbax's wait for minutes for
    what will not come; those of a save that goes well are waited for by `wait` and `close`.
    """
    faults: list[BaseException] = []

    def call() -> None:
        try:
            work()
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join()
    for fault in faults:
        raise fault


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
        self._has_written = False

    @functools.cached_property
    def _writer(self) -> Any:
        ocp = _import_orbax()
        self._has_written = True
        return ocp.AsyncCheckpointer(
            ocp.CompositeCheckpointHandler(),
            async_options=ocp.AsyncOptions(post_finalization_callback=self._add_checksums),
        )

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
        parts, ocp = split_state(state), _import_orbax()
        args = ocp.args.Composite(
            **{name: ocp.args.StandardSave(part) for name, part in parts.items()},
            shapes=ocp.args.JsonSave(describe_shapes(parts)),
        )
        with self._writing():
            if is_main():
                self._folder.stat()  # Orbax would make a folder anew that was taken away, and split the run
            _run_apart(lambda: self._writer.save(paths.find_alias(self._folder) / place.name, args=args))

    def _add_checksums(self) -> None:
        """Add the checksums to the checkpoint that is written, before its folder gets its final name."""
        if is_main():
            for unfinished in self._folder.glob(_UNFINISHED):
                checksums.write(unfinished)

    def restore(self, like: TrainState, place: Place | None = None, *, best_metric: str) -> TrainState:
        """Restore the newest checkpoint, in the shapes and on the devices of `like`.

        With a `place`, that checkpoint; newer ones are deleted, since the run goes on from this one. `best_metric` is
        the score that the run chooses its best epoch by. Raises DamagedCheckpoint for one that is not as it was
        written, and UserError for one of another network or optimizer.
        """
        place = self.latest if place is None else place
        assert place is not None
        folder, ocp = self._folder / place.name, _import_orbax()
        wanted = jax.tree.map(ocp.utils.to_shape_dtype_struct, split_state(like))
        with reading(folder), ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
            alias = paths.find_alias(self._folder) / place.name
            saved = reader.restore(alias, args=ocp.args.Composite(shapes=ocp.args.JsonRestore()))["shapes"]
            is_old = old_checkpoints.is_old(saved)
            if is_old:
                wanted = old_checkpoints.describe(wanted)
            _check_shapes(folder, saved, describe_shapes(wanted))
            args = {name: ocp.args.StandardRestore(part) for name, part in wanted.items()}
            parts = reader.restore(alias, args=ocp.args.Composite(**args))
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
        with self._writing():
            if self._has_written:
                self._writer.wait_until_finished()
            self._drop(self.places[:-KEPT])

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn what Orbax raises in the block, where a disk refused, into a UserError."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            reason = find_refusal(error)
            if reason is None:
                raise
            left = f"; {self.latest.name} is intact" if self.latest else ""
            raise UserError(
                f"A checkpoint could not be written to {self._folder} ({reason}){left}: mend that, and the same "
                "command goes on."
            ) from error

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
        try:
            self._finish()
        finally:
            if self._has_written:
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
    ocp = _import_orbax()
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
        alias = paths.find_alias(checkpoint.parent) / checkpoint.name
        shapes = reader.restore(alias, args=ocp.args.Composite(shapes=ocp.args.JsonRestore()))["shapes"]
        names = [name for name in shapes if name.startswith("best.") == (part == "best")]
        restore = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in names}
        args = ocp.args.Composite(**{part: ocp.args.PyTreeRestore(restore_args=restore)})
        leaves: dict[str, np.ndarray] = reader.restore(alias, args=args)[part]
    return leaves


def read_network(folder: pathlib.Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the variables of the best epoch in the newest checkpoint of a folder, and what it says of itself.

    A run that has validated no epoch yet has its last variables read. Where the newest one is damaged, the one before
    is used, and a warning says so. Nothing in the folder is changed. Raises DamagedCheckpoint where none can be used.
    """
    tried: set[str] = set()
    why = UserError(f"{folder} has no checkpoint any more: it was removed.")
    while True:
        places = [place for place in list_places(folder) if place.name not in tried]
        if not places:
            raise why
        newest = places[-1]
        checkpoint = folder / newest.name
        try:
            with reading(checkpoint):
                best = read_leaves(checkpoint, "best")
                epoch = int(best["best.epoch"])
                # Nothing else of the state is needed, which has two or three times the size of the best.
                whole = not epoch or not newest.current
                state = read_leaves(checkpoint, "state") if whole else {"step": np.asarray(newest.step)}
            break
        except DamagedCheckpoint as error:
            tried.add(newest.name)
            if not os.path.lexists(checkpoint):
                continue  # the run that writes here has newer ones by now
            why = error
            if places[:-1]:
                logger.warning(
                    "Checkpoint %s is damaged (%s), so the one before it is used, %s.",
                    *(checkpoint, error.reason, places[-2].name),
                )
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
