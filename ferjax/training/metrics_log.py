"""The record of a run's scores: metrics.jsonl, and TensorBoard events beside it."""

import json
import logging
import pathlib
import threading
from collections.abc import Callable
from typing import Any

from ferjax.files import read_json_lines, write_text
from ferjax.workdir import Workdir

logger = logging.getLogger("ferjax")


class MetricsLog:
    """A writer that adds one JSON object a line to metrics.jsonl, and the same scalars to TensorBoard's events.

    Opened at a checkpoint's step and epoch, it first drops the lines past them: a run killed after its last checkpoint
    computes them anew. Raises UserError for a metrics.jsonl that is none.
    """

    def __init__(self, workdir: Workdir, step: int, epoch: int) -> None:
        # Here, since tensorboardX brings torch along, wherever that is installed and a command has not prevented it.
        from tensorboardX import SummaryWriter

        _drop_lines_past(workdir.metrics, step, epoch)
        # TensorBoard hides the events from purge_step on that an earlier, killed process wrote.
        before = set(threading.enumerate())
        self._events = _open_events(SummaryWriter, workdir.tensorboard, step)
        # It writes in threads, and would wait for ever for one that a full disk has ended.
        self._writers = set(threading.enumerate()) - before
        self._file = workdir.metrics.open("a", encoding="utf-8")

    def write(self, *, step: int, epoch: float, split: str, **values: float) -> None:
        """Write one line; `split` is 'train_step' (the last few steps), 'train' (the epoch) or 'validation'."""
        line: dict[str, Any] = {"step": step, "epoch": round(epoch, 6), "split": split, **values}
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
        self._file.flush()
        for name, value in values.items():
            if self._can_write_events():
                self._events.add_scalar(f"{split}/{name}", value, step)

    def _can_write_events(self) -> bool:
        return self._events is not None and all(thread.is_alive() for thread in self._writers)

    def close(self) -> None:
        """Close both files."""
        self._file.close()
        if self._can_write_events():
            self._events.close()


def _open_events(create: Callable[..., Any], folder: pathlib.Path, step: int) -> Any:
    """Open TensorBoard's events; None, with a warning, where no semaphore can be had, which their queue wants.

    In some containers only root may write to /dev/shm, and some systems have no semaphores at all.
    """
    try:
        return create(str(folder), purge_step=step + 1, filename_suffix=f".{step}")
    except (OSError, ImportError) as error:
        if getattr(error, "filename", None):  # what is wrong is with the folder
            raise
        logger.warning(
            "No events for TensorBoard, which need semaphores (%s: may you write to /dev/shm?): metrics.jsonl has all.",
            error,
        )
        return None


def _drop_lines_past(path: pathlib.Path, step: int, epoch: int) -> None:
    if not path.exists():
        return
    lines = read_json_lines(path, {"step": int, "epoch": float, "split": str})
    # A checkpoint of an epoch's last step is of before or after its validation.
    kept = [
        line for line in lines if line["step"] <= step and (line["split"] == "train_step" or line["epoch"] <= epoch)
    ]
    write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
