"""Forms of one computation that take turns in one process, so that a busy moment meets them all."""

import time
from collections.abc import Callable, Mapping


def time_in_turns(forms: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each form in each of `rounds` rounds; a round before them, which compiles, does not count.

    Each form returns when its work is done.
    """
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for number in range(rounds + 1):
        for name, do in forms.items():
            start_s = time.perf_counter()
            do()
            if number:
                seconds[name].append(time.perf_counter() - start_s)
    return seconds
