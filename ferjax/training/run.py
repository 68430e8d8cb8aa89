"""One run, or several seeds of a setting in one program: locks and checks their folders, trains, evaluates."""

import contextlib
import copy
import logging
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from ml_collections import ConfigDict

from ferjax import data, report
from ferjax.config import validate
from ferjax.errors import UserError
from ferjax.interrupt import Interrupt
from ferjax.networks import weights as pretrained
from ferjax.parallel import all_agree, count_processes, create_layout, is_main, plan_seeds
from ferjax.training.build import Splits, create_parts, create_trainer, load_data
from ferjax.training.checkpoint import Checkpoints
from ferjax.training.loop import OnEpoch
from ferjax.workdir import check_workdir, describe_data, describe_run, has_checkpoint, lock_workdir

logger = logging.getLogger("ferjax")

Report = report.Report


def run(
    config: ConfigDict,
    workdir: pathlib.Path,
    *,
    allow_config_change: bool = False,
    on_epoch: OnEpoch | None = None,
) -> Report:
    """Train by `config` in `workdir`, from its last checkpoint where it has one; evaluate the best epoch.

    `on_epoch(epoch, scores)` is called when an epoch has been validated and saved, with every score of validation
    by its name; what it raises ends the run there. Raises UserError for what the user can mend, InterruptedRun
    after a signal, when everything is saved.
    """
    validate(config)
    if config.train.seeds:
        raise UserError("train.seeds is for a run of several seeds: leave it empty here, and name one as train.seed.")
    folders = {int(config.train.seed): workdir}
    reports, failures = _run(
        config, folders, [list(folders)], allow_config_change=allow_config_change, on_epoch=on_epoch
    )
    assert not failures  # the loop of a single seed raises them
    return reports[int(config.train.seed)]


def run_seeds(config: ConfigDict, workdir: pathlib.Path, *, allow_config_change: bool = False) -> dict[int, Report]:
    """Train every seed of `train.seeds` in one program, each in `workdir/seed_<n>` as if it had been run alone.

    A seed's folder, config.json included, is that of a run with `train.seed=<n>`, which may go on in it. Raises as
    `run` does; a seed whose numbers stop being finite doesn't stop the others, and FailedSeeds tells of it at the end.
    """
    validate(config)
    seeds = [int(seed) for seed in config.train.seeds]
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--config.train.seeds={tuple(seeds)} names a seed twice: each of them is one run.")
    if count_processes() > 1:
        raise UserError(
            "Several seeds in one program train within one process: start each process with seeds and a --workdir of "
            "its own (scripts/slurm/sweep_seeds.sbatch does), or leave --config.train.seeds empty."
        )
    folders = {seed: workdir / f"seed_{seed}" for seed in seeds}
    turns = plan_seeds(seeds, config.parallel.seeds, config.parallel.devices)
    reports, failures = _run(config, folders, turns, allow_config_change=allow_config_change, on_epoch=None)
    if failures:
        raise FailedSeeds(" ".join(failures), reports)
    return reports


class FailedSeeds(UserError):  # noqa: N818 - what became of a run, not a fault of the program
    """Some seeds could not go on; `reports` are the others'."""

    def __init__(self, message: str, reports: dict[int, Report]) -> None:
        super().__init__(message)
        self.reports = reports


def _run(
    config: ConfigDict,
    folders: dict[int, pathlib.Path],
    turns: Sequence[Sequence[int]],
    *,
    allow_config_change: bool,
    on_epoch: OnEpoch | None,
) -> tuple[dict[int, Report], list[str]]:
    """The reports of all seeds of `folders`, and what those that failed say; `turns` says which train side by side."""
    configs = {seed: _choose_seed(config, seed) for seed in folders}
    with Interrupt() as interrupt, _lock(folders.values()):
        if count_processes() > 1:
            interrupt.defer()  # one that left before the others would leave them waiting for it
        if not all(has_checkpoint(folder) for folder in folders.values()):
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
                f"{rows.source}: choose {n} or less."
            )
        about = describe_data(rows, splits)
        if not all_agree(about["digest"]):
            raise UserError(
                f"The processes of this run read different data from {rows.source}: give all of them the same."
            )
        for seed, folder in folders.items():
            check_workdir(folder, configs[seed], about, allow_change=allow_config_change)
        together = max(len(turn) for turn in turns)
        layout = create_layout(config.parallel.mode, config.parallel.devices, together if together > 1 else 0)
        logger.info("%s", layout.describe(len(folders)))
        parts = create_parts(config, rows, splits, layout)
        reports: dict[int, Report] = {}
        failures: list[str] = []
        for turn in turns:
            for number, seeds in _align({seed: folders[seed] for seed in turn}):
                these = {seed: folders[seed] for seed in seeds}
                trainer = create_trainer(parts, these, interrupt, number, alone=len(folders) == 1)
                lost = False
                try:
                    for repeat in trainer.repeats:
                        if is_main():
                            describe_run(repeat.workdir, configs[repeat.seed], about, step=repeat.step)
                    interrupt.defer()
                    trainer.train(on_epoch)
                    reports |= trainer.evaluate_best(rows, splits[split], split)
                    failures += [repeat.failure for repeat in trainer.repeats if repeat.failure]
                except RuntimeError:
                    lost = count_processes() > 1
                    raise
                finally:
                    if not lost:  # closing waits for a save, and that for the process that is gone
                        trainer.close()
        return reports, failures


def _choose_seed(config: ConfigDict, seed: int) -> ConfigDict:
    """The config of one seed's run alone."""
    chosen = ConfigDict(copy.deepcopy(config.to_dict()))
    chosen.train.seed, chosen.train.seeds = seed, ()
    return chosen.lock()


@contextlib.contextmanager
def _lock(folders: Any) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for folder in folders if is_main() else ():
            stack.enter_context(lock_workdir(folder))
        yield


def _align(folders: dict[int, pathlib.Path]) -> list[tuple[int | None, list[int]]]:
    """Seeds that can train side by side, each list with the checkpoint's number that it goes on from.

    A kill between two saves leaves some seeds one checkpoint ahead of others; they go back to the one that all have.
    """
    if len(folders) == 1:
        return [(None, list(folders))]
    numbers = {}
    for seed, folder in folders.items():
        checkpoints = Checkpoints(folder)
        numbers[seed] = checkpoints.numbers or {0}
        checkpoints.close()
    groups: list[tuple[int | None, list[int]]] = []
    while numbers:
        lowest = min(max(saved) for saved in numbers.values())
        seeds = [seed for seed, saved in numbers.items() if lowest in saved]
        groups.append((lowest, seeds))
        for seed in seeds:
            del numbers[seed]
    return groups


def _choose_split(wanted: str, splits: Splits) -> str:
    if wanted == "auto":
        return "test" if len(splits["test"]) else "validation"
    data.select(splits, wanted)
    return wanted
