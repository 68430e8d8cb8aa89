"""The checks of the drill `numerics`, in a process with several virtual devices."""

import logging
import pathlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ferjax import augment, data
from ferjax.batch import Batch
from ferjax.config import load_config
from ferjax.errors import UserError
from ferjax.interrupt import Interrupt
from ferjax.parallel import create_layout, place
from ferjax.training import run
from ferjax.training.build import build, describe_task
from ferjax.training.checkpoint import read_leaves
from ferjax.training.places import list_places
from ferjax.workdir import CONFIG_FILE, DATA_FILE, Workdir
from scripts.drills.drill import Failed, expect
from scripts.drills.poison import SAID, STEP, Poison
from scripts.drills.runs import SMALL, read_bits, read_metrics

# Rounding, before training has amplified it, and what it has become after three short epochs: a kink of a ReLU or a
# pooling's other maximum makes of 1e-7 some 1e-3. Another draw or another row is far beyond the first.
CLOSE_FIRST, CLOSE = 1e-5, 1e-2
# bfloat16 has 8 bits, and its losses stay as near to float32's as this in three short epochs.
CLOSE_BFLOAT16 = 0.05


def choose_config(**changed: Any) -> ConfigDict:
    """Return the config of a small run; a key 'group.name' is written group_name here."""
    keys = {key.replace("__", "."): value for key, value in changed.items()}
    return load_config("quickstart", {**SMALL, "optim.average_decay": 0.9, "optim.schedule": "constant", **keys})


def read_losses(workdir: pathlib.Path) -> np.ndarray:
    """Return the losses of training and validation of every epoch."""
    return np.array([line["loss"] for line in read_metrics(workdir) if line["split"] != "train_step"], np.float64)


def find_distance(one: pathlib.Path, other: pathlib.Path) -> float:
    """Return the largest relative difference of two runs' losses."""
    ours, theirs = read_losses(one), read_losses(other)
    return float(np.abs(ours / theirs - 1).max())


def check_repeats(folder: pathlib.Path, seed: int) -> Iterator[str]:
    """Train twice, on one device and on several, and compare the bits; then compare the counts of devices."""
    for devices in (1, 2, 4):
        config = choose_config(train__seed=seed, parallel__devices=devices)
        for name in ("once", "again"):
            run.run(config, folder / f"{name}_{devices}")
        once, again = (folder / f"{name}_{devices}" for name in ("once", "again"))
        expect(read_bits(once) == read_bits(again), f"{devices} devices: the same run twice has other bits")
        expect(read_metrics(once) == read_metrics(again), f"{devices} devices: metrics.jsonl differs")
    apart = [find_distance(folder / f"once_{devices}", folder / "once_1") for devices in (2, 4)]
    expect(max(apart) < CLOSE, f"2 and 4 devices lose other than 1: {apart} of the loss")
    losses = np.array([read_metrics(folder / f"once_{devices}")[0]["loss"] for devices in (1, 2, 4)], np.float64)
    first = float(np.ptp(losses) / losses[0])
    expect(first < CLOSE_FIRST, f"the first steps on 1, 2 and 4 devices lose {losses}")
    yield (
        f"the same run twice on 1, 2 and 4 devices: the same bits; 2 and 4 beside 1: losses within {first:.0e} "
        f"at first, and within {max(apart):.1e} behind three epochs"
    )


def check_order(seed: int) -> Iterator[str]:
    """Take one step on a batch and on the same rows in another order."""
    # Augmentation and dropout draw for each place of the batch, so they are off.
    still = {
        f"augment__{name}": type(key.default)(0)
        for name, key in augment.KEYS.items()
        if isinstance(key.default, int | float) and type(key.default)(0) in key.legal
    }
    config = choose_config(model__dropout=0.0, **still)
    rows, splits = data.load(**config.data)
    parts = build(config, describe_task(rows, splits))
    number = jnp.uint32(seed)
    state = jax.jit(lambda: parts.create_state(number, parts.create_variables(number)))()
    index = splits["train"][: config.train.batch_size]
    step = jax.jit(parts.train_step)
    found = []
    for order in (index, np.random.default_rng(seed).permutation(index), index):
        labels = jnp.asarray(rows.labels[order], jnp.int32)
        targets = jax.nn.one_hot(labels, len(rows.classes), dtype=jnp.float32)
        after, sums, _ = step(state, Batch(jnp.asarray(rows.images[order]), labels, targets, None))
        found.append((np.asarray(sums.loss), [np.asarray(leaf) for leaf in jax.tree.leaves(after.batch_stats)]))
    (loss, stats), (other_loss, other_stats), (again, _) = found
    expect(loss == again, "the same step twice has another loss")
    apart = max(abs(other_loss / loss - 1), *(np.abs(a - b).max() for a, b in zip(stats, other_stats, strict=True)))
    expect(apart < 1e-5, f"the rows of a batch in another order: {apart} apart")
    yield f"the rows of a batch in another order: loss and norm statistics within {apart:.0e}"


def check_bfloat16(folder: pathlib.Path, seed: int) -> Iterator[str]:
    """Compare the losses of bfloat16 with float32's, epoch by epoch."""
    once = folder / "once_1"
    if not once.exists():
        run.run(choose_config(train__seed=seed, parallel__devices=1), once)
    run.run(choose_config(train__seed=seed, parallel__devices=1, model__dtype="bfloat16"), folder / "bfloat16")
    apart = find_distance(folder / "bfloat16", once)
    expect(apart < CLOSE_BFLOAT16, f"bfloat16's losses are {apart:.1%} from float32's")
    yield f"bfloat16 beside float32, {len(read_losses(once)) // 2} epochs: losses within {apart:.2%}"


def check_poison(folder: pathlib.Path, places: Sequence[str] = tuple(SAID)) -> Iterator[str]:
    """Spoil each part of a step; the run must end in a sentence, keep a finite checkpoint, and go on from it."""
    config = choose_config(parallel__devices=1)
    straight = folder / "straight"
    run.run(config, straight)
    for where in places:
        workdir = folder / where.replace(" ", "_")
        said = _train_poisoned(config, workdir, where)
        newest = list_places(workdir / "checkpoints")[-1]
        expect(said.startswith(SAID[where]) and "\n" not in said, f"{where}: {said}")
        expect(f"the checkpoint of step {newest.step} is intact" in said, f"{where}, {newest}: {said}")
        expect(newest.step <= STEP, f"{where}: step {newest.step} was saved behind the fault")
        for part in ("state", "best"):
            for name, leaf in read_leaves(workdir / "checkpoints" / newest.name, part).items():
                finite = np.isfinite(leaf).all() or "best_value" in name or name == "best.score"
                expect(finite, f"{where}: {name} of the checkpoint is not finite")
        for name in (CONFIG_FILE, DATA_FILE):  # what the command writes before it trains
            shutil.copy(straight / name, workdir / name)
        run.run(config, workdir)
        expect(read_bits(workdir) == read_bits(straight), f"{where}: the run went on to other bits")
    yield f"not finite in {', '.join(places)}: a sentence each, and all go on from a finite checkpoint to the same bits"


def _train_poisoned(config: ConfigDict, workdir: pathlib.Path, where: str) -> str:
    """Train with the fault, and return by what sentence the run ended."""
    rows, splits = data.load(**config.data)
    parts = build(config, describe_task(rows, splits))
    layout = create_layout("mesh", 1)
    train_split, validation = (place(rows, splits[name], layout) for name in ("train", "validation"))
    compiled = run.compile_parts(parts, train_split, layout)
    poison = Poison(where, lambda spoilt: run.compile_parts(spoilt, train_split, layout))
    loop = run.create_loop(parts, compiled, validation, {0: Workdir(workdir)}, Interrupt(), hooks=[poison])
    try:
        loop.train()
    except UserError as error:
        return str(error)
    finally:
        loop.close()
    raise Failed(f"{where}: the run did not notice, and came to its end")


def main(arguments: Sequence[str]) -> int:
    """Make all checks in a folder, with a seed; print what was seen."""
    folder, seed = pathlib.Path(arguments[0]), int(arguments[1])
    logging.getLogger("ferjax").setLevel(logging.CRITICAL)
    try:
        for seen in (
            check_repeats(folder, seed),
            check_order(seed),
            check_bfloat16(folder, seed),
            check_poison(folder),
        ):
            for line in seen:
                print(line, flush=True)
    except Failed as fault:
        print(f"FAILED: {fault}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
