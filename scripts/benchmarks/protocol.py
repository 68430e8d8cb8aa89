"""How the process of a contender is called; it needs nothing but Python, since peers have environments of their own."""

from collections.abc import Callable
from typing import Any, Protocol

# Begins one step and returns a handle.
Step = Callable[[], Any]
# Waits until the step of a handle is done.
Wait = Callable[[Any], Any]


class Create(Protocol):
    """What every worker module offers as `create`."""

    def __call__(self, form: str, task: str, batch: int, data: str, threads: int) -> tuple[Step, Wait]:
        """Make the step of 'train', 'pipeline' or 'inference' on batches of `data`, and what waits for it."""


# Further commands of a worker module: they take the arguments of a question by name and answer it.
Commands = dict[str, Callable[..., dict[str, Any]]]
