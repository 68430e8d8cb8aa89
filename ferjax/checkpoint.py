"""Orbax checkpoints: the whole state for resuming, and the best epoch's variables for using, in one atomic step folder."""

import contextlib
import pathlib
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jaxtyping import PyTree

from ferjax.errors import UserError
from ferjax.state import TrainState

# Orbax deletes by renaming into this folder first, so that a kill leaves no half-deleted step in the listing.
_TRASH = ".trash"


class Checkpoints:
    """The checkpoints of one run, in `workdir/checkpoints/<step>/{state,best}`; the newest two are kept.

    Each step folder appears whole or not at all, and holds last and best together, so the two can't disagree.
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
        # A copy, since the training step overwrites the buffers of its state while the save still reads them.
        self._copy = jax.jit(lambda state: jax.tree.map(jnp.copy, state))

    @property
    def latest_step(self) -> int | None:
        """The newest whole checkpoint's step, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState) -> None:
        """Write a checkpoint in the background; does nothing where this step is saved already."""
        if step == self._manager.latest_step():
            return
        snapshot = self._copy(state)
        rest, best = snapshot.replace(best=None), snapshot.best
        self._manager.save(
            step,
            args=ocp.args.Composite(state=ocp.args.StandardSave(_tree(rest)), best=ocp.args.StandardSave(_tree(best))),
        )

    def restore(self, like: TrainState) -> TrainState:
        """The newest checkpoint, in the shapes of `like`; UserError where it holds another network's."""
        step = self._manager.latest_step()
        parts = {"state": like.replace(best=None), "best": like.best}
        abstract = {name: jax.tree.map(ocp.utils.to_shape_dtype_struct, _tree(part)) for name, part in parts.items()}
        try:
            args = {name: ocp.args.StandardRestore(tree) for name, tree in abstract.items()}
            trees = self._manager.restore(step, args=ocp.args.Composite(**args))
        except (ValueError, KeyError, FileNotFoundError) as error:
            raise UserError(
                f"checkpoint {self._folder / str(step)} can't be restored into this network and optimizer "
                f"({str(error).splitlines()[0]}): use another --workdir, or delete that folder to go on from an older one."
            ) from error
        # Committed to no device, as a new state's arrays are, so that the step compiles for both alike.
        restored = {
            name: jax.tree.unflatten(jax.tree.structure(parts[name]), jax.tree.leaves(trees[name])) for name in parts
        }
        return restored["state"].replace(best=restored["best"])

    def wait(self) -> None:
        """Return when every save has reached the disk."""
        self._manager.wait_until_finished()
        shutil.rmtree(self._folder / _TRASH, ignore_errors=True)

    def close(self) -> None:
        self.wait()
        self._manager.close()


def _tree(part: Any) -> PyTree:
    """Plain dicts and lists of arrays: what a checkpoint holds must not depend on the classes of a version of optax."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(part)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
