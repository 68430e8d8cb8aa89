"""The speed of each epoch's training, and the share of the devices' peak that it is."""

import functools

from ferjax.networks import Classifier
from ferjax.training import flops
from ferjax.training.hooks.base import EpochTold, Hook, Loop

# How often a peak that epochs beat is measured again without an epoch that is faster than all before.
_TRIES = 4


class Speed(Hook):
    """Measures images/s and the model FLOP utilisation of every epoch; must come before hooks that write them.

    A CPU's peak is measured beside the first epoch, when something else may have kept it busy: an epoch that beats the
    peak has it measured again, and the higher figure counts from then on. After some tries the arithmetic may well be
    better than the product's (Winograd's, bfloat16): then only an epoch that is faster than all before has it measured.
    """

    def __init__(self) -> None:
        self._peak: flops.Peak | None = None
        self._fastest, self._tries = 0.0, 0

    def on_epoch(self, loop: Loop, told: EpochTold) -> None:
        rate = loop.stopwatch.measure_epoch(told.step)
        if not rate or not told.runs:
            return
        seeds = len(told.runs)
        parts = loop.parts
        phase = parts.optimizer.groups.phase(told.epoch - 1)
        frozen = parts.optimizer.groups.frozen_layers(parts.shapes, phase)
        cost = _count_step(parts.network, (*parts.task.image_shape[:2], parts.network.in_channels), frozen)
        devices = loop.compiled.layout.devices
        arithmetic = parts.train_dtype, parts.config.train.precision
        with loop.stopwatch.pause():
            if self._peak is None:
                self._peak = _say(loop, flops.find_peak(*arithmetic))
            used = flops.find_utilization(cost, rate * seeds, self._peak, devices)
            beaten = used is not None and used > 1 and self._peak.measured
            if beaten and (rate > self._fastest or self._tries < _TRIES):
                self._tries += 1
                again = flops.find_peak(*arithmetic)
                if (again.flops_per_s or 0) > (self._peak.flops_per_s or 0):
                    self._peak = _say(loop, again, "Measured again, since an epoch did more: from here on utilisation")
                    used = flops.find_utilization(cost, rate * seeds, self._peak, devices)
        self._fastest = max(self._fastest, rate)
        share = "" if used is None else f", model FLOP utilisation {used:.1%}"
        loop.progress.say(f"epoch {told.epoch}: {rate * seeds:.4g} images/s{share}")
        told.speed["images_per_s"] = rate
        # At the measured speed: an epoch that was begun before a restart is counted whole.
        told.speed["seconds"] = loop.rows / rate
        if used is not None:
            told.speed["model_flop_utilisation"] = used / seeds


@functools.cache
def _count_step(network: Classifier, image_shape: tuple[int, int, int], frozen: frozenset[str]) -> int:
    return flops.count_step(network, image_shape, frozen)


def _say(loop: Loop, peak: flops.Peak, what: str = "Utilisation") -> flops.Peak:
    if peak.flops_per_s is None:
        loop.progress.say(f"No model FLOP utilisation: {peak.source}.")
    else:
        loop.progress.say(f"{what} is of {peak.flops_per_s / 1e9:.4g} GFLOP/s a device ({peak.source}).")
    return peak
