"""Contenders of one task at one batch size, in processes of their own, which take turns."""

import functools
import math
from collections.abc import Callable

from scripts.benchmarks.processes import ContenderError, Runner
from scripts.benchmarks.results import Result

_MOST_STEPS = 500


class Turns:
    """The contenders of one task at one batch size, compiled and ready; all but the one at it are stopped.

    A turn lasts about `turn_s` seconds, or one step if that is longer; `steps` are how many steps that is for each.
    """

    def __init__(self, task: str, batch: int, result: Result, turn_s: float) -> None:
        self.task, self.batch = task, batch
        self.steps: dict[str, int] = {}
        self._result, self._turn_s = result, turn_s
        self._runners: dict[str, Runner] = {}

    def add(self, name: str, runner: Runner) -> None:
        """Compile a contender's step and choose how many make a turn; note where it fails."""
        attempt(name, self._result, functools.partial(self._begin, name, runner))

    def _begin(self, name: str, runner: Runner) -> None:
        seconds = self._result["prepare_s"][name] = runner.prepare()
        steps = min(_MOST_STEPS, max(1, math.ceil(self._turn_s / runner.measure(1))))
        self._runners[name], self.steps[name] = runner, steps
        print(f"  {name}: ready after {seconds:.1f} s, {steps} steps a turn", flush=True)

    def take_round(self, number: int) -> None:
        """Give each contender a turn."""
        order = list(self._runners)
        # No contender always begins a round: by then the machine may have cooled, or another program may have begun.
        first = number % max(1, len(order))
        for name in order[first:] + order[:first]:
            attempt(name, self._result, functools.partial(self._take_turn, name))

    def _take_turn(self, name: str) -> None:
        images_per_s = self.batch / self._runners[name].measure(self.steps[name])
        self._result["values"].setdefault(name, []).append(images_per_s)


def attempt(name: str, result: Result, do: Callable[[], None]) -> None:
    """Note one contender's failure, and let the others go on."""
    if name in result["failed"]:
        return
    try:
        do()
    except ContenderError as error:
        result["failed"][name] = str(error)
        result["values"].pop(name, None)
        print(f"  {name} failed: {error}", flush=True)
