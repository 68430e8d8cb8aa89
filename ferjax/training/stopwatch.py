"""The speed of training in images a second, without the time of validation and saving."""

import contextlib
import time
from collections.abc import Iterator


class Stopwatch:
    """A clock for the steps since the start, since the last measured window, and since the last measured epoch."""

    def __init__(self, step: int, batch_size: int) -> None:
        self._batch_size = batch_size
        self._clock = time.monotonic
        self.restart(step)

    def restart(self, step: int) -> None:
        """Start to count now: the time so far was compilation."""
        self._start_s = self._window_s = self._epoch_s = self._clock()
        self._first_step = self._window_step = self._epoch_step = step

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Leave out the time that passes within the block: validation and saving are not training."""
        start_s = self._clock()
        yield
        passed_s = self._clock() - start_s
        self._start_s += passed_s
        self._window_s += passed_s
        self._epoch_s += passed_s

    def measure(self, step: int) -> float:
        """Return the images a second since the last call or `restart`."""
        now = self._clock()
        rate = (step - self._window_step) * self._batch_size / max(now - self._window_s, 1e-9)
        self._window_s, self._window_step = now, step
        return rate

    def measure_epoch(self, step: int) -> float:
        """Return the images a second since the last call or `restart`; 0 where no step was taken since."""
        now = self._clock()
        rate = (step - self._epoch_step) * self._batch_size / max(now - self._epoch_s, 1e-9)
        self._epoch_s, self._epoch_step = now, step
        return rate

    def seconds_left(self, step: int, total: int) -> float:
        """Estimate how long the steps up to `total` will take, by the speed so far."""
        passed_s = max(self._clock() - self._start_s, 1e-9)
        return (total - step) * passed_s / max(step - self._first_step, 1)
