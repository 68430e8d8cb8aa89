"""From a config to the parts of a run: network, optimizer, compiled program, first state."""

import dataclasses
import functools
import logging
import math
import pathlib

import clu.parameter_overview
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree, UInt32
from ml_collections import ConfigDict

from ferjax import augment, data, losses, networks, optim
from ferjax.data.resident import Resident
from ferjax.data.rows import SIDE_PX
from ferjax.errors import UserError
from ferjax.interrupt import Interrupt
from ferjax.networks import weights as pretrained
from ferjax.optim.groups import Groups
from ferjax.parallel import Layout, Program, create_program, initialize, is_main, place, plan_dispatch
from ferjax.preprocess import preprocess
from ferjax.randomness import stream_key
from ferjax.state import TrainState, create_state
from ferjax.step import make_eval_step, make_finish_epoch, make_train_step
from ferjax.training import flops
from ferjax.training.checkpoint import Checkpoints
from ferjax.training.loop import Trainer
from ferjax.training.seed import Repeat
from ferjax.workdir import describe_pretrained, forget_pretrained

logger = logging.getLogger("ferjax")

Model = networks.VGG | networks.Compact
Splits = dict[str, Int[np.ndarray, " _"]]


@dataclasses.dataclass(frozen=True)
class Parts:
    """What every seed of a setting shares; `n` is the number of training rows, `shapes` are the parameters'."""

    config: ConfigDict
    model: Model
    optimizer: optim.Optimizer
    program: Program
    validation: Resident
    n: int
    shapes: PyTree


def load_data(config: ConfigDict) -> tuple[data.Rows, Splits]:
    """The data set of a config; raises UserError for whatever is wrong with it."""
    return data.load(**{key: value for key, value in config.data.items() if key not in ("normalize", "scaling")})


def create_parts(config: ConfigDict, rows: data.Rows, splits: Splits, layout: Layout) -> Parts:
    """Make and compile what the config names; raises UserError for what it can't name."""
    train_split, validation = (place(rows, splits[name], layout) for name in ("train", "validation"))
    n, batch_size, classes = len(train_split), config.train.batch_size, len(rows.classes)
    model_config = {key: value for key, value in config.model.items() if key != "pretrained"}
    model = networks.create(num_classes=classes, **model_config)
    counts = np.bincount(rows.emotion[splits["train"]], minlength=classes)
    try:
        optimizer = optim.create(**config.optim, epochs=config.train.epochs, steps_per_epoch=n / batch_size)
        loss_fn = losses.create(**config.loss, counts=counts)
    except ValueError as error:
        raise UserError(str(error)) from error
    scaling = _choose_scaling(config)
    prepare = functools.partial(preprocess, scaling=scaling, channels=model.in_channels, dtype=model.dtype)
    program = create_program(
        make_train_step(model, optimizer, loss_fn, augment.create(**config.augment), prepare),
        make_eval_step(model, loss_fn, prepare, config.eval.mirror),
        make_finish_epoch(optimizer, config.train.best_metric),
        train_split,
        layout,
        num_classes=classes,
        batch_size=batch_size,
        eval_batch_size=config.eval.batch_size,
        log_every_steps=config.train.log_every_steps,
        dispatch=plan_dispatch(config.parallel.steps_per_dispatch, config.train.log_every_steps, -(-n // batch_size)),
    )
    shapes = jax.eval_shape(functools.partial(_create_variables, model), jnp.zeros((), jnp.uint32))["params"]
    _describe_groups(optimizer.groups, shapes, config.train.epochs)
    return Parts(config, model, optimizer, program, validation, n, shapes)


def create_trainer(
    parts: Parts,
    workdirs: dict[int, pathlib.Path],
    interrupt: Interrupt,
    number: int | None = None,
    *,
    alone: bool = True,
) -> Trainer:
    """The loop for the seeds of `workdirs`, each from its last checkpoint or, where that is older, from `number`.

    Other seeds of the run train with another loop where these are not `alone`.
    """
    repeats: list[Repeat] = []
    states: list[TrainState] = []
    for seed, workdir in workdirs.items():
        checkpoints = Checkpoints(workdir)
        state = _open_state(parts, workdir, checkpoints, seed, number)
        repeats.append(Repeat(seed, workdir, checkpoints, state, writes=is_main()))
        states.append(state)
    config, groups = parts.config, parts.optimizer.groups

    @functools.cache
    def count_flops(phase: int) -> int:
        return flops.count_step(parts.model, groups.frozen_layers(parts.shapes, phase))

    return Trainer(
        config.train,
        parts.program,
        parts.program.stack(states),
        repeats,
        groups,
        parts.validation,
        parts.n,
        interrupt,
        count_flops,
        functools.partial(_find_peak, config.model.dtype),
        alone=alone,
    )


@functools.cache
def _find_peak(dtype: str) -> flops.Peak:
    peak = flops.find_peak(dtype)
    if peak.flops_per_s is None:
        logger.info("No model FLOP utilisation: %s.", peak.source)
    else:
        logger.info("Utilisation is of %.4g GFLOP/s a device (%s).", peak.flops_per_s / 1e9, peak.source)
    return peak


def _open_state(
    parts: Parts, workdir: pathlib.Path, checkpoints: Checkpoints, seed: int, number: int | None
) -> TrainState:
    """One seed's state: the checkpoint's, or the first one."""
    fresh = checkpoints.latest is None
    if fresh and is_main():
        forget_pretrained(workdir)
    weights = parts.config.model.pretrained if fresh else "none"
    state = _create_state(parts, workdir, seed, weights)
    if not fresh:
        state = checkpoints.restore(state, number, best_metric=parts.config.train.best_metric)
        logger.info("Resumed %s from step %d (epoch %d).", workdir, int(state.step), int(state.epoch))
    return state


def _create_state(parts: Parts, workdir: pathlib.Path, seed_number: int, weights: str) -> TrainState:
    """The state before the first step, from random parameters or from pretrained `weights`."""
    model, layout = parts.model, parts.program.layout
    seed = jnp.asarray(seed_number, jnp.uint32)
    variables = initialize(functools.partial(_create_variables, model), layout, seed)
    if weights != "none":
        variables = _load_pretrained(parts.config, workdir, variables)
    create = functools.partial(
        create_state,
        optimizer=parts.optimizer,
        num_classes=parts.model.num_classes,
        best_metric=parts.config.train.best_metric,
    )
    state: TrainState = initialize(create, layout, seed, variables)
    return state


def _create_variables(model: Model, seed: UInt32[Array, ""]) -> PyTree:
    key = stream_key(seed, "parameters", jnp.zeros((), jnp.int32))
    variables = model.init(key, jnp.zeros((1, SIDE_PX, SIDE_PX, model.in_channels)), train=False)
    return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}


def _choose_scaling(config: ConfigDict) -> str:
    scaling: str = config.data.scaling if config.data.normalize else "none"
    return scaling


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
    if is_main():
        describe_pretrained(workdir, {**facts, **dataclasses.asdict(merged)})
    return variables
