"""The speed of each epoch's training, and the share of the devices' peak that it is."""

import functools
import logging

from ferjax.networks import Classifier
from ferjax.training import flops
from ferjax.training.hooks.base import EpochTold, Hook, Loop

logger = logging.getLogger("ferjax")


class Speed(Hook):
    """Measures images/s and the model FLOP utilisation of every epoch; must come before hooks that write them."""

    def on_epoch(self, loop: Loop, told: EpochTold) -> None:
        rate = loop.stopwatch.measure_epoch(told.step)
        if not rate or not told.runs:
            return
        seeds = len(told.runs)
        parts = loop.parts
        phase = parts.optimizer.groups.phase(told.epoch - 1)
        frozen = parts.optimizer.groups.frozen_layers(parts.shapes, phase)
        cost = _count_step(parts.network, (*parts.task.image_shape[:2], parts.network.in_channels), frozen)
        with loop.stopwatch.pause():
            peak = _find_peak(parts.config.model.dtype)
        used = flops.find_utilization(cost, rate * seeds, peak, loop.compiled.layout.devices)
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


@functools.cache
def _find_peak(dtype: str) -> flops.Peak:
    peak = flops.find_peak(dtype)
    if peak.flops_per_s is None:
        logger.info("No model FLOP utilisation: %s.", peak.source)
    else:
        logger.info("Utilisation is of %.4g GFLOP/s a device (%s).", peak.flops_per_s / 1e9, peak.source)
    return peak
