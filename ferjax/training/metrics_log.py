"""Where a run's numbers go: metrics.jsonl always, and TensorBoard events beside it."""

import contextlib
import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

from ferjax.files import METRICS_FILE, read_json_lines, write_text


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


class MetricsLog:
    """Appends one JSON object a line to `workdir/metrics.jsonl` and the same scalars to `workdir/tensorboard/`.

    Opened at a checkpoint's step and epoch, it first drops the lines past them: a run killed after its last checkpoint
    computes them anew. Raises UserError for a metrics.jsonl that isn't one.
    """

    def __init__(self, workdir: pathlib.Path, step: int, epoch: int) -> None:
        path = workdir / METRICS_FILE
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
    lines = read_json_lines(path, {"step": int, "epoch": float, "split": str})
    # A checkpoint of an epoch's last step is of before or after its validation.
    kept = [
        line for line in lines if line["step"] <= step and (line["split"] == "train_step" or line["epoch"] <= epoch)
    ]
    write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
