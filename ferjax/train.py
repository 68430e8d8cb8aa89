"""From a config to a finished run: `run` unpacks the config into the parts, and hands them to the loop."""

import functools
import logging
import pathlib
from collections.abc import Callable

import clu.parameter_overview
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int
from ml_collections import ConfigDict

from ferjax import augment, data, losses, models, optim, report
from ferjax.checkpoint import Checkpoints
from ferjax.config import validate
from ferjax.data.resident import place
from ferjax.data.rows import SIDE_PX
from ferjax.errors import UserError
from ferjax.interrupt import Interrupt
from ferjax.parallel import create_program, initialize
from ferjax.preprocess import preprocess
from ferjax.state import TrainState, create_state
from ferjax.step import make_eval_step, make_finish_epoch, make_train_step, stream_key
from ferjax.trainer import Trainer
from ferjax.workdir import check_workdir, describe_data, describe_run, lock_workdir

logger = logging.getLogger("ferjax")

Splits = dict[str, Int[np.ndarray, " _"]]


def run(config: ConfigDict, workdir: pathlib.Path, *, allow_config_change: bool = False) -> report.Report:
    """Train by `config` in `workdir`, from its last checkpoint where it has one; evaluate the best epoch.

    Raises UserError for what the user can mend, InterruptedRun after a signal, when everything is saved.
    """
    validate(config)
    with Interrupt() as interrupt, lock_workdir(workdir):
        rows, splits = data.load(
            **{key: value for key, value in config.data.items() if key not in ("normalize", "scaling")}
        )
        for note in rows.notes:
            logger.info("%s", note)
        split = _choose_split(config.eval.split, splits)
        n = len(splits["train"])
        if config.train.batch_size > n:
            raise UserError(
                f"--config.train.batch_size={config.train.batch_size} is more than the {n} training rows of "
                f"{config.data.path}: choose {n} or less."
            )
        about = describe_data(config.data.path, rows, splits)
        check_workdir(workdir, config, about, allow_change=allow_config_change)
        trainer = create_trainer(config, workdir, rows, splits, interrupt)
        describe_run(workdir, config, about, step=trainer.step)
        try:
            trainer.train()
            return trainer.evaluate_best(rows, splits[split], split)
        finally:
            trainer.close()


def create_trainer(
    config: ConfigDict, workdir: pathlib.Path, rows: data.Rows, splits: Splits, interrupt: Interrupt
) -> Trainer:
    """Make every part that the config names, and restore the state where the workdir has one."""
    train_split, validation = (place(rows, splits[name]) for name in ("train", "validation"))
    n, batch_size = len(train_split), config.train.batch_size
    model = models.create(
        num_classes=len(data.EMOTIONS), **{key: value for key, value in config.model.items() if key != "pretrained"}
    )
    counts = np.bincount(rows.emotion[splits["train"]], minlength=len(data.EMOTIONS))
    try:
        optimizer = optim.create(
            **{k: v for k, v in config.optim.items() if k != "groups"},
            epochs=config.train.epochs,
            steps_per_epoch=n / batch_size,
        )
        loss_fn = _create_loss(config.loss, counts.tolist())
    except ValueError as error:
        raise UserError(str(error)) from error
    prepare = functools.partial(
        preprocess,
        scaling=config.data.scaling if config.data.normalize else "none",
        channels=model.in_channels,
        dtype=model.dtype,
    )
    program = create_program(
        make_train_step(model, optimizer, loss_fn, functools.partial(augment.augment, **config.augment), prepare),
        make_eval_step(model, loss_fn, prepare, config.eval.mirror),
        make_finish_epoch(optimizer, config.train.best_metric),
        train_split,
        num_classes=len(data.EMOTIONS),
        batch_size=batch_size,
        eval_batch_size=config.eval.batch_size,
    )
    state = initialize(functools.partial(_create_state, model, optimizer, config.train.seed))
    logger.info("%s", clu.parameter_overview.get_parameter_overview(state.params, include_stats=False))
    checkpoints = Checkpoints(workdir)
    if checkpoints.latest is not None:
        state = checkpoints.restore(state)
        logger.info("Resumed from step %d (epoch %d).", int(state.step), int(state.epoch))
    return Trainer(config.train, workdir, program, state, checkpoints, validation, n, interrupt)


def _choose_split(wanted: str, splits: Splits) -> str:
    if wanted == "auto":
        return "test" if len(splits["test"]) else "validation"
    data.select(splits, wanted)
    return wanted


def _create_loss(config: ConfigDict, counts: list[int]) -> Callable[..., Float32[Array, " b"]]:
    weights = losses.parse_class_weights(config.class_weights, counts)
    return losses.make_loss(**{**config, "class_weights": weights})


def _create_state(model: models.VGG | models.Compact, optimizer: optim.Optimizer, seed: int) -> TrainState:
    state_seed = jnp.asarray(seed, jnp.uint32)
    key = stream_key(state_seed, "parameters", jnp.zeros((), jnp.int32))
    image = jnp.zeros((1, SIDE_PX, SIDE_PX, model.in_channels))
    variables = model.init(key, image, train=False)
    return create_state(state_seed, variables["params"], variables.get("batch_stats", {}), optimizer)
