"""Orbax checkpoints: the state for resuming and the best epoch's variables for using, in one atomic folder."""

import pathlib
import shutil
from typing import Any

import jax
import orbax.checkpoint as ocp
from jaxtyping import Array

from ferjax.errors import UserError
from ferjax.parallel import is_main
from ferjax.state import TrainState
from ferjax.training import old_checkpoints

# Orbax deletes by renaming into this folder first, so that a kill leaves no half-deleted step in the listing.
_TRASH = ".trash"


class Checkpoints:
    """The checkpoints of one run, in `workdir/checkpoints/<number>/{state,best,shapes}`; the newest two are kept.

    Each folder appears whole or not at all, and holds last and best together, so the two can't disagree. `number`
    counts steps and validated epochs: at an epoch's end there is a state before validation and another after it.
    """

    def __init__(self, workdir: pathlib.Path) -> None:
        self._folder = (workdir / "checkpoints").absolute()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=2,
            create=True,
            cleanup_tmp_directories=True,
            todelete_subdir=_TRASH,
            enable_async_checkpointing=True,
        )
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    @property
    def latest(self) -> int | None:
        """The newest whole checkpoint's number, or None."""
        return self._manager.latest_step()

    @property
    def numbers(self) -> set[int]:
        """Every whole checkpoint's number."""
        return set(self._manager.all_steps())

    def save(self, number: int, state: TrainState) -> None:
        """Write a checkpoint in the background; does nothing where this one is saved already.

        `state` must keep its buffers until the write ends: a copy, where the next step is given the state to overwrite.
        """
        if number == self._manager.latest_step():
            return
        self._empty_trash()
        parts = _split(state)
        self._manager.save(
            number,
            args=ocp.args.Composite(
                **{name: ocp.args.StandardSave(part) for name, part in parts.items()},
                shapes=ocp.args.JsonSave(_describe_shapes(parts)),
            ),
        )

    def restore(self, like: TrainState, number: int | None = None, *, best_metric: str) -> TrainState:
        """The newest checkpoint, in the shapes and on the devices of `like`; UserError where it is another network's.

        With a `number`, that checkpoint; newer ones are deleted, since the run goes on from this one. `best_metric` is
        the score that the run chooses its best epoch by.
        """
        number = self._manager.latest_step() if number is None else number
        wanted = jax.tree.map(ocp.utils.to_shape_dtype_struct, _split(like))
        try:
            saved = self._manager.restore(number, args=ocp.args.Composite(shapes=ocp.args.JsonRestore()))["shapes"]
            is_old = old_checkpoints.is_old(saved)
            if is_old:
                wanted = old_checkpoints.describe(wanted)
            self._check_shapes(number, saved, wanted)
            args = {name: ocp.args.StandardRestore(part) for name, part in wanted.items()}
            parts = self._manager.restore(number, args=ocp.args.Composite(**args))
        except UserError:
            raise
        except Exception as error:  # Orbax raises nearly anything on broken bytes, with the reason as its cause
            reason = str(error.__cause__ or error).splitlines()[0]
            raise UserError(
                f"Checkpoint {self._folder / str(number)} is damaged ({reason}): delete that folder to resume an older "
                "one, or use another --workdir."
            ) from error
        for newer in [saved for saved in self._manager.all_steps() if saved > number]:
            self._manager.delete(newer)
        leaves = {**parts["state"], **parts["best"]}
        if is_old:
            leaves = old_checkpoints.convert(leaves, _flatten(like), best_metric)
        return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in _flatten(like)])

    def _check_shapes(self, number: int | None, saved: dict[str, list[int]], wanted: dict[str, dict[str, Any]]) -> None:
        """Raise UserError where a checkpoint was made with another network or optimizer than what is `wanted`."""
        here = _describe_shapes(wanted)
        for name in sorted(saved.keys() | here.keys()):
            if saved.get(name) != here.get(name):
                raise UserError(
                    f"Checkpoint {self._folder / str(number)} is of another network or optimizer ({name} has shape "
                    f"{saved.get(name)} there and {here.get(name)} here): use the config that it was made with, or "
                    "another --workdir."
                )

    def wait(self) -> None:
        """Return when every save has reached the disk."""
        self._manager.wait_until_finished()
        self._empty_trash()

    def close(self) -> None:
        self.wait()
        self._manager.close()

    def _empty_trash(self) -> None:
        if is_main():
            shutil.rmtree(self._folder / _TRASH, ignore_errors=True)


def _flatten(state: TrainState) -> dict[str, Array]:
    """Every leaf by its path: what a checkpoint holds must not depend on the classes of one version of optax."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _split(state: TrainState) -> dict[str, dict[str, Array]]:
    leaves = _flatten(state)
    best = {name: leaf for name, leaf in leaves.items() if name.startswith("best.")}
    return {"state": {name: leaf for name, leaf in leaves.items() if name not in best}, "best": best}


def _describe_shapes(parts: dict[str, dict[str, Any]]) -> dict[str, list[int]]:
    return {name: list(leaf.shape) for part in parts.values() for name, leaf in part.items()}
