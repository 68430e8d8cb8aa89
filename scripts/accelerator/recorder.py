"""What a stage found, written down line by line, so that a time-out or a crash loses only what it interrupts."""

import contextlib
import dataclasses
import json
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

RESULTS_FILE = "results.jsonl"


@dataclasses.dataclass
class Recorder:
    """One stage's record: its lines go to `out`, scratch files to `work`.

    `limit_s` counts from the stage's start. A `short` stage does everything once and small, to try it on a CPU; `data`
    is what the runs train on.
    """

    stage: str
    out: pathlib.Path
    work: pathlib.Path
    limit_s: float
    short: bool
    data: str

    def __post_init__(self) -> None:
        self._start_s = time.monotonic()

    def note(self, what: str, **facts: Any) -> None:
        """Write a line."""
        at_s = round(time.monotonic() - self._start_s, 1)
        line = json.dumps({"stage": self.stage, "at_s": at_s, "what": what, **facts}, default=float)
        with (self.out / RESULTS_FILE).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(f"  {line[:250]}", flush=True)

    def left_s(self) -> float:
        """Return the seconds that the stage still has."""
        return self.limit_s - (time.monotonic() - self._start_s)

    def has_time(self, seconds: float) -> bool:
        """Return whether the stage has so many seconds left; in a short stage always, as time is no matter there."""
        return self.short or self.left_s() > seconds

    @contextlib.contextmanager
    def attempt(self, what: str, **facts: Any) -> Iterator[None]:
        """Write down what goes wrong within the block, and go on behind it."""
        try:
            yield
        except Exception as error:  # whatever it is, the other results are wanted
            self.note(what, **facts, error=f"{type(error).__name__}: {str(error)[:600]}")

    def time_it(self, step: Callable[[], Any], wait: Callable[[Any], Any], seconds: float = 1.0) -> dict[str, float]:
        """Return the milliseconds of a call, the median of three rounds, and how far the rounds lie apart."""
        wait(step())
        start_s = time.perf_counter()
        wait(step())
        once_s = time.perf_counter() - start_s
        if self.short:
            return {"ms": 1e3 * once_s, "spread": 0.0}
        calls, rounds = max(1, int(seconds / once_s)), []
        for _ in range(3):
            start_s = time.perf_counter()
            for _ in range(calls):
                result = step()
            wait(result)
            rounds.append(1e3 * (time.perf_counter() - start_s) / calls)
        return {"ms": statistics.median(rounds), "spread": max(rounds) / min(rounds) - 1}
