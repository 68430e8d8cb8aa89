"""One seed's run: the files in its folder, and the step that it has reached."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from ferjax import report
from ferjax.data import Rows
from ferjax.files import write_json
from ferjax.report.mistakes import write_worst_mistakes
from ferjax.scores.temperature import fit_calibration
from ferjax.state import TrainState
from ferjax.training.checkpoint import Checkpoints
from ferjax.training.metrics_log import MetricsLog
from ferjax.training.places import Place
from ferjax.workdir import Workdir


class SeedRun:
    """A run, and the loop's own copies of three of its state's scalars.

    Reading them from the device would wait for the step in flight. `failure` says why a run stopped that cannot go on.
    Only the main process writes; checkpoints are saved by all.
    """

    def __init__(
        self, seed: int, workdir: Workdir, checkpoints: Checkpoints, state: TrainState, *, writes: bool
    ) -> None:
        self.seed, self.workdir, self.checkpoints = seed, workdir, checkpoints
        self.step, self.epoch = int(state.step), int(state.epoch)
        self.epochs_since_best = int(state.epochs_since_best)
        self.saved_step = self.step if checkpoints.latest is not None else None
        self.failure: str | None = None
        self._log = MetricsLog(workdir, self.step, self.epoch) if writes else None

    def write(self, *, epoch: float, split: str, step: int, **values: float) -> None:
        """Write one line of metrics.jsonl."""
        if self._log is not None:
            self._log.write(step=step, epoch=epoch, split=split, **values)

    def save(self, state: TrainState, *, validated: bool) -> None:
        """Write a checkpoint in the background; `state` is a copy that nothing overwrites.

        `validated` says whether the run stands at an epoch's end, behind its validation.
        """
        self.checkpoints.save(Place(True, self.step, validated), state)
        self.saved_step = self.step

    def fail(self, name: str, step: int, epoch: int) -> str:
        """Keep, and return, the sentence on the number `name` that is no longer finite and on what is left."""
        self.checkpoints.wait()
        saved = self.saved_step
        left = "no checkpoint was written yet" if saved is None else f"the checkpoint of step {saved} is intact"
        self.failure = (
            f"The {name} is not a finite number at step {step} (epoch {epoch}); {left}. Lower optim.learning_rate, set "
            "optim.clip_norm, or lengthen optim.warmup_epochs, and use a new --workdir."
        )
        return self.failure

    def write_predictions(
        self, rows: Rows, index: Int[np.ndarray, " n"], split: str, probabilities: Float[np.ndarray, "n k"]
    ) -> None:
        """Write predictions.csv and worst_mistakes.npz of the rows `index`."""
        if self._log is None:
            return
        worst = report.choose_worst(rows.labels[index], probabilities)
        write_worst_mistakes(self.workdir.worst_mistakes, rows.images[index][worst], index[worst])
        report.write_predictions(
            self.workdir.predictions,
            row=index,
            split=split,
            labels=rows.labels[index],
            probabilities=probabilities,
            classes=rows.classes,
        )

    def write_calibration(
        self, labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n k"], split: str
    ) -> None:
        """Fit the network's temperature to its answers for a split that is not for tests; write calibration.json."""
        if self._log is not None:
            fit = fit_calibration(labels, probabilities, split)
            write_json(self.workdir.calibration, dataclasses.asdict(fit), sort_keys=True)

    def close(self) -> None:
        """Finish all writing, and close."""
        try:
            if self._log is not None:
                self._log.close()
        finally:
            self.checkpoints.close()
