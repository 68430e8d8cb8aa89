"""Optimizers, learning-rate schedules, and which parameters train."""

from ferjax.optim.adam import Optimizer, create, kernel_mask, make_plateau, make_schedule

__all__ = ["Optimizer", "create", "kernel_mask", "make_plateau", "make_schedule"]
