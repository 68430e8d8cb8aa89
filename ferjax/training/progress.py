"""How far a run has come, for the person who waits: a bar on a terminal, else a line now and then."""

import contextlib
import logging
import sys
import time
from collections.abc import Iterator

import tqdm

logger = logging.getLogger("ferjax")


class Progress:
    """An epoch's progress: a bar on a terminal, else a line now and then; always images/s, loss, accuracy and ETA."""

    _SECONDS_BETWEEN_LINES = 15.0

    def __init__(self, *, total_steps: int, step: int, batch_size: int, quiet: bool = False) -> None:
        self._total, self._batch_size, self._quiet = total_steps, batch_size, quiet
        self._terminal = sys.stderr.isatty() and not quiet
        self._bar = tqdm.tqdm(
            total=total_steps,
            initial=step,
            unit="step",
            dynamic_ncols=True,
            disable=not self._terminal,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
        )
        self._clock = time.monotonic
        self._first_step = self._window_step = self._epoch_step = step
        self._start_s = self._window_s = self._epoch_s = self._line_s = self._clock()

    def restart(self, step: int) -> None:
        """Count from here on: what passed so far was compilation."""
        self._start_s = self._window_s = self._epoch_s = self._clock()
        self._first_step = self._window_step = self._epoch_step = step

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Leave out what passes within the block: a validation or a save is no training time."""
        start_s = self._clock()
        yield
        passed_s = self._clock() - start_s
        self._start_s += passed_s
        self._window_s += passed_s
        self._epoch_s += passed_s

    def measure(self, step: int) -> float:
        """Images a second since the last call or `restart`."""
        now = self._clock()
        rate = (step - self._window_step) * self._batch_size / max(now - self._window_s, 1e-9)
        self._window_s, self._window_step = now, step
        return rate

    def measure_epoch(self, step: int) -> float:
        """Images a second since the last call or `restart`; 0 where no step was taken since."""
        now = self._clock()
        rate = (step - self._epoch_step) * self._batch_size / max(now - self._epoch_s, 1e-9)
        self._epoch_s, self._epoch_step = now, step
        return rate

    def show(self, step: int, *, epoch: int, loss: float, accuracy: float, images_per_s: float) -> None:
        """Say where training is."""
        if self._quiet:
            return
        text = f"loss {loss:.4f}, accuracy {accuracy:.1%}, {images_per_s:.0f} images/s"
        if self._terminal:
            self._bar.set_description_str(f"epoch {epoch}", refresh=False)
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(step - self._bar.n)
        elif self._clock() - self._line_s >= self._SECONDS_BETWEEN_LINES or step == self._total:
            self._line_s = self._clock()
            logger.info("epoch %d, step %d of %d: %s, ETA %s", epoch, step, self._total, text, self._eta(step))

    def say(self, text: str) -> None:
        """Print a line without breaking the bar."""
        if self._quiet:
            return
        if self._terminal:
            self._bar.clear()
        logger.info(text)
        if self._terminal:
            self._bar.refresh()

    def _eta(self, step: int) -> str:
        passed_s = max(self._clock() - self._start_s, 1e-9)
        left_s = (self._total - step) * passed_s / max(step - self._first_step, 1)
        return tqdm.tqdm.format_interval(left_s)

    def close(self) -> None:
        self._bar.close()
