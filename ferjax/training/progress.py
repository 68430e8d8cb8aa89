"""The progress of a run for the person who waits: a bar on a terminal, else a line every few seconds."""

import logging
import sys
import time

import tqdm

from ferjax.training.stopwatch import Stopwatch

logger = logging.getLogger("ferjax")


class Progress:
    """A display of step, epoch, loss, accuracy, images/s and the time that is left."""

    _SECONDS_BETWEEN_LINES = 15.0

    def __init__(self, *, total_steps: int, step: int, stopwatch: Stopwatch, quiet: bool = False) -> None:
        self._total, self._stopwatch, self._quiet = total_steps, stopwatch, quiet
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
        self._line_s = self._clock()

    def show(self, step: int, *, epoch: int, loss: float, accuracy: float, images_per_s: float) -> None:
        """Show how far training has come."""
        if self._quiet:
            return
        text = f"loss {loss:.4f}, accuracy {accuracy:.1%}, {images_per_s:.0f} images/s"
        if self._terminal:
            self._bar.set_description_str(f"epoch {epoch}", refresh=False)
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(step - self._bar.n)
        elif self._clock() - self._line_s >= self._SECONDS_BETWEEN_LINES or step == self._total:
            self._line_s = self._clock()
            left = tqdm.tqdm.format_interval(self._stopwatch.seconds_left(step, self._total))
            logger.info("epoch %d, step %d of %d: %s, ETA %s", epoch, step, self._total, text, left)

    def say(self, text: str) -> None:
        """Print a line without breaking the bar."""
        if self._quiet:
            return
        if self._terminal:
            self._bar.clear()
        logger.info(text)
        if self._terminal:
            self._bar.refresh()

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
