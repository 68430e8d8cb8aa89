"""Thousands of checkpoints in a row, at random pauses, by one manager and by several side by side."""

import pathlib
import random
import time
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from ferjax.training import checksums
from ferjax.training.checkpoint import KEPT, Checkpoints, read_leaves
from ferjax.training.places import Place
from scripts.drills.drill import expect
from scripts.drills.states import create_state


def run(folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    """Save `cases` times with one manager, then with four in turns; read back what is left now and then."""
    state = create_state()
    for managers in (1, 4):
        opened = [Checkpoints(folder / f"{managers}_{i}" / "checkpoints") for i in range(managers)]
        start_s, slowest_s = time.monotonic(), 0.0
        for number in range(1, cases // managers + 1):
            saved = state.replace(step=jnp.int32(number))
            for manager in opened:
                before_s = time.monotonic()
                manager.save(Place(True, number, validated=number % 3 == 0), saved)
                slowest_s = max(slowest_s, time.monotonic() - before_s)
            pause = chance.random()
            time.sleep(0 if pause < 0.7 else pause * 0.02)
            if chance.random() < 0.002:  # as a run that stops and goes on
                i = chance.randrange(managers)
                opened[i].close()
                opened[i] = Checkpoints(folder / f"{managers}_{i}" / "checkpoints")
        for i, manager in enumerate(opened):
            manager.close()
            places = manager.places
            expect([place.step for place in places][-1] == cases // managers, f"manager {i} ends with {places}")
            expect(len(places) == KEPT, f"manager {i} keeps {places}")
            checkpoint = folder / f"{managers}_{i}" / "checkpoints" / places[-1].name
            expect(checksums.find_damage(checkpoint) is None, f"{checkpoint} is damaged")
            expect(int(np.asarray(read_leaves(checkpoint, "state")["step"])) == places[-1].step, f"{checkpoint}'s step")
            left = {path.name for path in checkpoint.parent.iterdir()} - {place.name for place in places}
            expect(not left, f"{checkpoint.parent} holds {left} too")
        passed_s = time.monotonic() - start_s
        yield (
            f"{cases // managers} saves by each of {managers}: {1000 * passed_s / cases:.0f} ms each, the slowest "
            f"{1000 * slowest_s:.0f} ms, none lost and nothing left behind"
        )
