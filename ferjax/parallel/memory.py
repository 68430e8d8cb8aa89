"""The advice for a device whose memory is too small."""

import contextlib
from collections.abc import Iterator

import jax

from ferjax.errors import UserError


@contextlib.contextmanager
def explain_memory(batch_size: int, seeds: int = 0) -> Iterator[None]:
    """Raise UserError, which says what to lower, where a device runs out of memory within the block.

    `batch_size` counts the images of a step, `seeds` the seeds that the run trains in one program.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        first = f" for {seeds} seeds: say --config.parallel.seeds=in_turn, or" if seeds else ":"
        raise UserError(
            f"The device's memory does not hold a step of {batch_size} images{first} lower --config.train.batch_size, "
            "or --config.eval.batch_size if validation failed."
        ) from error
