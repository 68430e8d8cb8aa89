"""The state that a run starts from: its own newest checkpoint, else published weights, else random parameters."""

import dataclasses
import logging
import math

import clu.parameter_overview
import jax
import jax.numpy as jnp
from jaxtyping import PyTree
from ml_collections import ConfigDict

from ferjax.documents.words import count
from ferjax.files import write_text
from ferjax.networks.weights import merge
from ferjax.parallel import Layout, check_state, initialize, is_main
from ferjax.state import TrainState
from ferjax.training import weights
from ferjax.training.build import Parts
from ferjax.training.checkpoint import Checkpoints
from ferjax.training.places import Place
from ferjax.versions import describe_start
from ferjax.workdir import PARAMETERS_FILE, DataFacts, Workdir

logger = logging.getLogger("ferjax")


def open_state(
    parts: Parts, layout: Layout, workdir: Workdir, checkpoints: Checkpoints, seed: int, place: Place | None
) -> TrainState:
    """Make one seed's state: from the checkpoint at `place` (by default the newest), or, without any, the first one."""
    fresh = checkpoints.latest is None
    if fresh and is_main():
        workdir.write_pretrained(None)
    state = _create_state(parts, layout, workdir, seed, parts.config.init.pretrained if fresh else "none")
    if not fresh:
        state = checkpoints.restore(state, place, best_metric=parts.config.train.best_metric)
        logger.info("Resumed %s from step %d (epoch %d).", workdir.folder, int(state.step), int(state.epoch))
    return state


def _create_state(parts: Parts, layout: Layout, workdir: Workdir, seed_number: int, source: str) -> TrainState:
    seed = jnp.asarray(seed_number, jnp.uint32)
    # The network, the best one so far, and the optimizer's moments.
    check_state(parts.shapes, (parts.shapes, parts.shapes, jax.eval_shape(parts.optimizer.init, parts.shapes)))
    variables = initialize(parts.create_variables, layout, seed)
    if source != "none":
        variables = _load_weights(parts, workdir, variables, source)
    state: TrainState = initialize(parts.create_state, layout, seed, variables)
    return state


def _load_weights(parts: Parts, workdir: Workdir, variables: dict[str, PyTree], source: str) -> dict[str, PyTree]:
    """Return `variables` with the published weights in their places; log what was loaded, and write pretrained.json."""
    found = weights.load(source, parts.config.model.name)
    variables, merged = merge(variables, found)
    logger.info("%s", merged)
    scaling = parts.config.input.scaling
    if scaling != found.scaling:
        logger.warning(
            "These weights were trained on input scaled as '%s', and this run scales it as '%s'; "
            "--config.input.scaling=%s gives them their own.",
            found.scaling,
            scaling,
            found.scaling,
        )
    facts = {name: getattr(found, name) for name in ("path", "source", "model", "scaling", "sha256")}
    if is_main():
        workdir.write_pretrained({**facts, **dataclasses.asdict(merged)})
    return variables


def list_parameters(parts: Parts) -> str:
    """Return the table of the network's parameters: name, shape, type and size of each."""
    table: str = clu.parameter_overview.get_parameter_overview(parts.shapes, include_stats=False)
    return f"{table}\n"


def record_start(
    parts: Parts, layout: Layout, workdir: Workdir, config: ConfigDict, facts: DataFacts, step: int
) -> None:
    """Write into the folder with what a run starts at `step`; warn where its last digits may become others."""
    begun = describe_start(step, parts.train_dtype, 1 if layout.mode == "seeds" else layout.devices)
    if others := workdir.compare_start(begun):
        logger.warning(
            "%s was trained so far with another %s: what it computes may differ in the last digits.",
            *(workdir.folder, "; another ".join(others)),
        )
    workdir.begin(config, facts, begun)
    write_text(workdir.parameters, list_parameters(parts))


def describe_parameters(parts: Parts) -> None:
    """Log how many parameters the network has, and which groups of them train how."""
    groups, epochs = parts.optimizer.groups, parts.config.train.epochs
    total = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(parts.shapes))
    logger.info("%s: %s parameters, listed in %s.", parts.config.model.name, f"{total:,}", PARAMETERS_FILE)
    if parts.config.model.dtype == "auto":
        logger.info("model.dtype=auto: these devices train in %s.", parts.train_dtype)
    lines = groups.describe(parts.shapes)
    for rule, size in lines:
        if not size:
            logger.warning(
                "The pattern %r of optim.groups (%s) is the first match of no parameter.", rule.pattern, rule
            )
        elif epochs <= rule.start_epoch < math.inf:
            logger.warning(
                "%s: %s, which never comes, since the run has at most %s.", rule.pattern, rule, count(epochs, "epoch")
            )
        elif len(lines) > 1:
            logger.info("%s: %s parameters, %s", rule.pattern, f"{size:,}", rule)
