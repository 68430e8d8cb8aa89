"""Several processes of one run, on one machine or many: how they meet, and how they agree."""

import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import Array, Int32

from ferjax.errors import UserError
from ferjax.parallel.placement import Layout

# A process that has given no sign for this long counts as lost, and the others end.
_LOST_AFTER_S = 30


def join_processes(
    coordinator_address: str | None = None, process_count: int | None = None, process_index: int | None = None
) -> None:
    """Meet the run's other processes; call it before anything touches a device.

    Without arguments JAX finds them by the environment of Slurm, Open MPI, Kubernetes or a TPU pod. Raises UserError
    where there is none, or where the others do not come within five minutes.
    """
    # Otherwise JAX's own notifier catches SIGTERM, by which the run is told to save and stop.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator_address, process_count, process_index, heartbeat_timeout_seconds=_LOST_AFTER_S
        )
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"The processes of this run did not meet ({reason}): start them by Slurm, Open MPI or Kubernetes, or give "
            "each --coordinator_address=HOST:PORT --process_count=N --process_index=0..N-1."
        ) from error


def count_processes() -> int:
    """Count the processes that take part in this run."""
    count: int = jax.process_count()
    return count


def is_main() -> bool:
    """Return whether this process is the one that logs and writes."""
    return jax.process_index() == 0


def all_agree(digest: str) -> bool:
    """Return whether every process gives the same hexadecimal digest; every process must call this."""
    if jax.process_count() == 1:
        return True
    own = np.frombuffer(bytes.fromhex(digest), np.uint8)
    return bool((multihost_utils.process_allgather(own) == own).all())


class Votes:
    """What the processes agree on between steps: each says what it wants, and all see the same sums.

    The sums come from the device like a step's figures, so that nobody waits for them; all processes read those of the
    same step at the same place of their loops.
    """

    def __init__(self, layout: Layout) -> None:
        self._sharding = layout.spread
        self._count = jax.jit(lambda votes: votes.sum(0), out_shardings=layout.everywhere)

    def cast(self, *wanted: bool) -> Int32[Array, " questions"]:
        """Cast this process's votes; the result counts, for each question, the devices whose process says yes."""
        local = np.tile(np.asarray(wanted, np.int32), (jax.local_device_count(), 1))
        with jax.transfer_guard("allow"):  # JAX takes this copy, which is meant, for an implicit one
            votes = jax.make_array_from_process_local_data(self._sharding, local)
        counted: Int32[Array, " questions"] = self._count(votes)
        return counted
