"""The log of a run: metrics.jsonl and TensorBoard for later, a progress bar or lines for the person who waits."""

import numpy as np

from ferjax.scores import SCORES
from ferjax.training.hooks.base import EpochTold, Hook, Loop, StepTold

_SHOWN = ("loss", "accuracy")


class Log(Hook):
    """Writes a line every `every_steps` steps and two at each epoch's end, and shows them."""

    def __init__(self, every_steps: int) -> None:
        self._every_steps = every_steps

    def on_step(self, loop: Loop, told: StepTold) -> None:
        runs = {run: values for run, values in told.runs.items() if run.failure is None}
        if not runs or (told.step % self._every_steps and told.step != loop.total_steps):
            return
        rate = loop.stopwatch.measure(told.step) if told.images_per_s is None else told.images_per_s
        mean = {name: float(np.mean([values[name] for values in runs.values()])) for name in _SHOWN}
        loop.progress.show(told.step, epoch=loop.epoch + 1, images_per_s=rate * len(runs), **mean)
        epoch = told.step * loop.batch_size / loop.rows
        for run, values in runs.items():
            line = {name: values[name] for name in ("learning_rate", *_SHOWN)}
            run.write(step=told.step, epoch=epoch, split="train_step", images_per_s=rate, **line)

    def on_epoch(self, loop: Loop, told: EpochTold) -> None:
        metric = loop.parts.config.train.best_metric
        for run, epoch in told.runs.items():
            validated = {**epoch.validation, "seconds": told.validation_s}
            run.write(step=told.step, epoch=float(told.epoch), split="train", **epoch.train, **told.speed)
            run.write(step=told.step, epoch=float(told.epoch), split="validation", **validated)
            loop.progress.say(
                f"{'' if loop.alone else f'seed {run.seed}, '}epoch {told.epoch}: train loss "
                f"{epoch.train['loss']:.4f}, accuracy {epoch.train['accuracy']:.2%}; validation loss "
                f"{epoch.validation['loss']:.4f}, accuracy {epoch.validation['accuracy']:.2%}"
                f"{'' if metric in _SHOWN else f', {metric} {SCORES[metric].format(epoch.validation[metric])}'}"
                f"{', the best so far' if epoch.is_best else ''}"
                f"{f'; learning rate cut to {epoch.scale:.3g} of the schedule' if epoch.scale < 1 else ''}"
            )
        groups = loop.parts.optimizer.groups
        if groups.phase(told.epoch) != groups.phase(told.epoch - 1):
            loop.progress.say(f"from epoch {told.epoch + 1} on {_count_trained(loop)}")


def _count_trained(loop: Loop) -> str:
    trained, frozen = loop.parts.optimizer.groups.split(loop.parts.shapes, loop.epoch)
    counts = [sum(int(np.prod(leaf.shape)) for leaf in part.values()) for part in (trained, frozen)]
    return f"{counts[0]:,} of {sum(counts):,} parameters train"
