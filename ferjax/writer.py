"""Where a run's numbers go: metrics.jsonl always, TensorBoard events beside it, and a progress bar or plain lines."""

import contextlib
import json
import logging
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import Any

import tqdm

from ferjax.atomic import replacing
from ferjax.errors import UserError

logger = logging.getLogger("ferjax")


@contextlib.contextmanager
def _without_torch() -> Iterator[None]:
    """tensorboardX imports torch wherever it is installed, for four seconds, though it writes scalars without it."""
    if "torch" in sys.modules:
        yield
        return
    # What Python documents for a module that is not to be found.
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]


with _without_torch():
    from tensorboardX import SummaryWriter


class Writer:
    """Appends one JSON object a line to `workdir/metrics.jsonl` and the same scalars to `workdir/tensorboard/`.

    Opened at a checkpoint's step and epoch, it first drops the lines past them: a run killed after its last checkpoint
    computes them anew. Raises UserError for a metrics.jsonl that isn't one.
    """

    def __init__(self, workdir: pathlib.Path, step: int, epoch: int) -> None:
        path = workdir / "metrics.jsonl"
        _drop_lines_past(path, step, epoch)
        self._file = path.open("a", encoding="utf-8")
        # TensorBoard hides the events from purge_step on that an earlier, killed process wrote.
        self._events = SummaryWriter(str(workdir / "tensorboard"), purge_step=step + 1, filename_suffix=f".{step}")

    def write(self, *, step: int, epoch: float, split: str, **values: float) -> None:
        """One line; `split` is 'train_step' (the last few steps), 'train' (the epoch) or 'validation'."""
        line: dict[str, Any] = {"step": step, "epoch": round(epoch, 6), "split": split, **values}
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._events.add_scalar(f"{split}/{name}", value, step)

    def close(self) -> None:
        self._file.close()
        self._events.close()


def _drop_lines_past(path: pathlib.Path, step: int, epoch: int) -> None:
    if not path.exists():
        return
    kept = []
    for number, text in enumerate(
        path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True), start=1
    ):
        if not text.endswith("\n"):
            break  # the line that a killed process was writing
        try:
            line = json.loads(text)
            # A checkpoint of an epoch's last step is of before or after its validation.
            past = line["step"] > step or (line["split"] != "train_step" and line["epoch"] > epoch)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}, line {number} can't be read ({error}): mend or delete that line.") from error
        if not past:
            kept.append(text)
    with replacing(path) as beside:
        beside.write_text("".join(kept), encoding="utf-8")


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
