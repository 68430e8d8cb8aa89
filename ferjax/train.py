"""From a config to a finished run: `run` unpacks the config into the parts, and hands them to the loop."""

import dataclasses
import functools
import logging
import math
import pathlib
from collections.abc import Callable

import clu.parameter_overview
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int, PyTree
from ml_collections import ConfigDict

from ferjax import augment, data, losses, models, optim, pretrained, report
from ferjax.checkpoint import Checkpoints
from ferjax.config import validate
from ferjax.data.resident import place
from ferjax.data.rows import SIDE_PX
from ferjax.errors import UserError
from ferjax.groups import Groups
from ferjax.interrupt import Interrupt
from ferjax.parallel import create_program, initialize
from ferjax.preprocess import preprocess
from ferjax.state import TrainState, create_state
from ferjax.step import make_eval_step, make_finish_epoch, make_train_step, stream_key
from ferjax.trainer import OnEpoch, Trainer
from ferjax.workdir import (
    check_workdir,
    describe_data,
    describe_pretrained,
    describe_run,
    forget_pretrained,
    has_checkpoint,
    lock_workdir,
)

logger = logging.getLogger("ferjax")

Model = models.VGG | models.Compact
Splits = dict[str, Int[np.ndarray, " _"]]


def run(
    config: ConfigDict,
    workdir: pathlib.Path,
    *,
    allow_config_change: bool = False,
    on_epoch: OnEpoch | None = None,
) -> report.Report:
    """Train by `config` in `workdir`, from its last checkpoint where it has one; evaluate the best epoch.

    `on_epoch(epoch, scores)` is called when an epoch has been validated and saved, with validation's loss (nats) and
    accuracy (0..1); what it raises ends the run there. Raises UserError for what the user can mend, InterruptedRun
    after a signal, when everything is saved.
    """
    validate(config)
    with Interrupt() as interrupt, lock_workdir(workdir):
        if not has_checkpoint(workdir):
            # Before anything slow; a resumed run needs no weights.
            pretrained.check(config.model.pretrained, config.model.name, config.model.width)
        rows, splits = load_data(config)
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
        interrupt.defer()
        try:
            trainer.train(on_epoch)
            return trainer.evaluate_best(rows, splits[split], split)
        finally:
            trainer.close()


def load_data(config: ConfigDict) -> tuple[data.Rows, Splits]:
    """The data set of a config; raises UserError for whatever is wrong with it."""
    return data.load(**{key: value for key, value in config.data.items() if key not in ("normalize", "scaling")})


def create_trainer(
    config: ConfigDict, workdir: pathlib.Path, rows: data.Rows, splits: Splits, interrupt: Interrupt
) -> Trainer:
    """Make every part that the config names, and restore the state where the workdir has one."""
    train_split, validation = (place(rows, splits[name]) for name in ("train", "validation"))
    n, batch_size, classes = len(train_split), config.train.batch_size, len(rows.classes)
    model_config = {key: value for key, value in config.model.items() if key != "pretrained"}
    model = models.create(num_classes=classes, **model_config)
    counts = np.bincount(rows.emotion[splits["train"]], minlength=classes)
    try:
        optimizer = optim.create(**config.optim, epochs=config.train.epochs, steps_per_epoch=n / batch_size)
        loss_fn = _create_loss(config.loss, counts.tolist())
    except ValueError as error:
        raise UserError(str(error)) from error
    scaling = _choose_scaling(config)
    prepare = functools.partial(preprocess, scaling=scaling, channels=model.in_channels, dtype=model.dtype)
    program = create_program(
        make_train_step(model, optimizer, loss_fn, functools.partial(augment.augment, **config.augment), prepare),
        make_eval_step(model, loss_fn, prepare, config.eval.mirror),
        make_finish_epoch(optimizer, config.train.best_metric),
        train_split,
        num_classes=classes,
        batch_size=batch_size,
        eval_batch_size=config.eval.batch_size,
    )
    checkpoints = Checkpoints(workdir)
    fresh = checkpoints.latest is None
    if fresh:
        forget_pretrained(workdir)
    state = _create_state(config, model, optimizer, workdir, config.model.pretrained if fresh else "none")
    if not fresh:
        state = checkpoints.restore(state)
        logger.info("Resumed from step %d (epoch %d).", int(state.step), int(state.epoch))
    return Trainer(config.train, workdir, program, state, checkpoints, optimizer.groups, validation, n, interrupt)


def _choose_scaling(config: ConfigDict) -> str:
    scaling: str = config.data.scaling if config.data.normalize else "none"
    return scaling


def _choose_split(wanted: str, splits: Splits) -> str:
    if wanted == "auto":
        return "test" if len(splits["test"]) else "validation"
    data.select(splits, wanted)
    return wanted


def _create_loss(config: ConfigDict, counts: list[int]) -> Callable[..., Float32[Array, " b"]]:
    weights = losses.parse_class_weights(config.class_weights, counts)
    return losses.make_loss(**{**config, "class_weights": weights})


def _create_state(
    config: ConfigDict, model: Model, optimizer: optim.Optimizer, workdir: pathlib.Path, weights: str
) -> TrainState:
    """The state before the first step, from random parameters or from pretrained `weights`."""
    seed = jnp.asarray(config.train.seed, jnp.uint32)

    def create_variables() -> PyTree:
        key = stream_key(seed, "parameters", jnp.zeros((), jnp.int32))
        variables = model.init(key, jnp.zeros((1, SIDE_PX, SIDE_PX, model.in_channels)), train=False)
        return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}

    variables = initialize(create_variables)
    _describe_groups(optimizer.groups, variables["params"], config.train.epochs)
    if weights != "none":
        variables = _load_pretrained(config, workdir, variables)
    state: TrainState = initialize(
        functools.partial(create_state, optimizer=optimizer), seed, variables["params"], variables["batch_stats"]
    )
    return state


def _describe_groups(groups: Groups, params: PyTree, epochs: int) -> None:
    logger.info("%s", clu.parameter_overview.get_parameter_overview(params, include_stats=False))
    try:
        lines = groups.describe(params)
        groups.split(params, 0)
    except ValueError as error:
        raise UserError(str(error)) from error
    for rule, size in lines:
        if not size:
            logger.warning(
                "The pattern %r of optim.groups (%s) is the first match of no parameter.", rule.pattern, rule
            )
        elif epochs <= rule.start_epoch < math.inf:
            logger.warning(
                "%s: %s, which never comes, since the run has at most %d epochs.", rule.pattern, rule, epochs
            )
        elif len(lines) > 1:
            logger.info("%s: %s parameters, %s", rule.pattern, f"{size:,}", rule)


def _load_pretrained(config: ConfigDict, workdir: pathlib.Path, variables: PyTree) -> PyTree:
    """`variables` with the pretrained weights in their places; says what was loaded, also in pretrained.json."""
    weights = pretrained.load(config.model.pretrained, config.model.name)
    variables, merged = pretrained.merge(variables, weights)
    logger.info("%s", merged)
    scaling = _choose_scaling(config)
    if scaling != weights.scaling:
        logger.warning(
            "These weights were trained on input scaled as '%s', and this run scales it as '%s'; "
            "%s--config.data.scaling=%s gives them their own.",
            weights.scaling,
            scaling,
            "" if config.data.normalize else "--config.data.normalize=True ",
            weights.scaling,
        )
    facts = {name: getattr(weights, name) for name in ("path", "source", "model", "scaling", "sha256")}
    describe_pretrained(workdir, {**facts, **dataclasses.asdict(merged)})
    return variables
