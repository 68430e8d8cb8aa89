"""The story of a run, from a config to what it leaves; of one seed, or of several in one program."""

import contextlib
import copy
import dataclasses
import logging
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import jax
from ml_collections import ConfigDict

from ferjax import arithmetic, data, report
from ferjax.config import check
from ferjax.data import Rows, Splits
from ferjax.data.resident import Resident
from ferjax.errors import UserError
from ferjax.interrupt import Interrupt
from ferjax.parallel import (
    Compiled,
    Dispatch,
    Layout,
    all_agree,
    choose_options,
    compile_functions,
    count_processes,
    create_layout,
    describe_peak,
    is_main,
    place,
    plan_dispatch,
    plan_seeds,
)
from ferjax.training import weights
from ferjax.training.build import Parts, build, describe_task
from ferjax.training.checkpoint import Checkpoints
from ferjax.training.damage import DamagedCheckpoint
from ferjax.training.hooks import EarlyStop, Hook, Log, NotFinite, Save, Speed
from ferjax.training.loop import Loop
from ferjax.training.places import Place, list_places
from ferjax.training.seed_run import SeedRun
from ferjax.training.start import describe_parameters, open_state, record_start
from ferjax.workdir import DataFacts, Workdir, describe_data

logger = logging.getLogger("ferjax")

Report = report.Report


class FailedSeeds(UserError):  # noqa: N818 - what became of a run, not a fault of the program
    """Some seeds failed; `reports` has the reports of the others."""

    def __init__(self, message: str, reports: dict[int, Report]) -> None:
        super().__init__(message)
        self.reports = reports


def run(
    config: ConfigDict, workdir: pathlib.Path, *, allow_config_change: bool = False, hooks: Sequence[Hook] = ()
) -> Report:
    """Train by `config` in `workdir`, from its last checkpoint where it has one; evaluate the best epoch.

    `hooks` are called after those of every run (ferjax.training.hooks); an exception of a hook ends the run. Raises
    UserError for what the user can mend, InterruptedRun after a signal, when everything is saved.
    """
    config = check(config)
    if config.train.seeds:
        raise UserError("train.seeds is for a run of several seeds: leave it empty here, and name one as train.seed.")
    seed = int(config.train.seed)
    reports, failures = _train_all(config, {seed: Workdir(workdir)}, [[seed]], allow_config_change, hooks)
    assert not failures  # the loop of a single seed raises them
    return reports[seed]


def run_seeds(config: ConfigDict, workdir: pathlib.Path, *, allow_config_change: bool = False) -> dict[int, Report]:
    """Train every seed of `train.seeds` in one program, each in `workdir/seed_<n>` as if it had been run alone.

    A seed's folder, config.json included, is that of a run with `train.seed=<n>`, which may go on in it. Raises as
    `run` does; a seed whose numbers stop being finite does not stop the others, and FailedSeeds tells of it at the end.
    """
    config = check(config)
    seeds = [int(seed) for seed in config.train.seeds]
    if len(set(seeds)) < len(seeds):
        raise UserError(f"train.seeds={tuple(seeds)} names a seed twice: each of them is one run.")
    if count_processes() > 1:
        raise UserError(
            "Several seeds in one program train within one process: start each process with seeds and a --workdir of "
            "its own (scripts/slurm/sweep_seeds.sbatch does), or leave train.seeds empty."
        )
    workdirs = {seed: Workdir(workdir / f"seed_{seed}") for seed in seeds}
    turns = plan_seeds(seeds, config.parallel.seeds, config.parallel.devices)
    reports, failures = _train_all(config, workdirs, turns, allow_config_change, ())
    if failures:
        raise FailedSeeds(" ".join(failures), reports)
    return reports


def _train_all(
    config: ConfigDict,
    workdirs: dict[int, Workdir],
    turns: Sequence[Sequence[int]],
    allow_config_change: bool,
    hooks: Sequence[Hook],
) -> tuple[dict[int, Report], list[str]]:
    """Train all seeds; return their reports, and the sentences of those that failed.

    `turns` says which seeds train side by side.
    """
    with Interrupt() as interrupt, _lock(workdirs.values()), arithmetic.fixed(config.train.precision):
        if count_processes() > 1:
            interrupt.defer()  # one that left before the others would leave them waiting for it
        if not all(workdir.has_checkpoint() for workdir in workdirs.values()):
            # Before anything slow; a resumed run needs no weights.
            weights.check(config.init.pretrained, config.model.name, config.model.width)
        setting = _prepare(config, workdirs, max(map(len, turns)), allow_config_change)
        reports: dict[int, Report] = {}
        failures: list[str] = []
        for turn in turns:
            waiting = {seed: workdirs[seed] for seed in turn}
            while waiting:
                start, seeds = _align(waiting)
                side_by_side = {seed: waiting[seed] for seed in seeds}
                try:
                    ended = _train_together(setting, side_by_side, start, interrupt, hooks, alone=len(workdirs) == 1)
                except DamagedCheckpoint as damaged:
                    if not damaged.set_aside():
                        raise
                    continue
                reports |= ended[0]
                failures += ended[1]
                waiting = {seed: workdir for seed, workdir in waiting.items() if seed not in seeds}
        logger.info("%s", describe_peak())
        return reports, failures


@dataclasses.dataclass(frozen=True)
class _Setting:
    """What all seeds share: the parts, compiled for the devices, and the data, on the devices and on the host."""

    parts: Parts
    compiled: Compiled
    validation: Resident
    rows: Rows
    facts: DataFacts
    splits: Splits
    split: str  # the one that the end of a run evaluates


def _prepare(config: ConfigDict, workdirs: dict[int, Workdir], together: int, allow_config_change: bool) -> _Setting:
    """Read the data, check that every folder can go on with it, and make and compile the parts."""
    rows, splits = data.load(**config.data)
    for note in rows.notes:
        logger.info("%s", note)
    split = _choose_split(config.eval.split, splits)
    parts = build(config, describe_task(rows, splits))
    facts = describe_data(rows, splits)
    if not all_agree(facts["digest"]):
        raise UserError(
            f"The processes of this run read different data from {config.data.path}: give all of them the same."
        )
    for seed, workdir in workdirs.items():
        if changed := workdir.check(choose_seed(config, seed), facts, allow_change=allow_config_change):
            logger.warning("Going on in %s with a changed config: %s.", workdir.folder, changed)
    layout = create_layout(config.parallel.mode, config.parallel.devices, together if together > 1 else 0)
    logger.info("%s", layout.describe(len(workdirs)))
    compiled = compile_parts(parts, place(rows, splits["train"], layout), layout)
    describe_parameters(parts)
    validation = place(rows, splits["validation"], layout)
    return _Setting(parts, compiled, validation, rows, facts, splits, split)


def compile_parts(parts: Parts, train_split: Resident, layout: Layout, dispatch: Dispatch | None = None) -> Compiled:
    """Make the program of the parts' steps; each is compiled for these devices when it is first called.

    `dispatch` is planned by the config where it is not given.
    """
    config = parts.config
    if dispatch is None:
        epoch_steps = -(-parts.task.rows // config.train.batch_size)
        dispatch = plan_dispatch(config.parallel.steps_per_dispatch, config.train.log_every_steps, epoch_steps)
    return compile_functions(
        parts.train_step,
        parts.eval_step,
        parts.final_eval_step,
        parts.finish_epoch,
        train_split,
        layout,
        num_classes=parts.task.num_classes,
        batch_size=config.train.batch_size,
        eval_batch_size=config.eval.batch_size,
        log_every_steps=config.train.log_every_steps,
        dispatch=dispatch,
        options=choose_options(config.parallel.xla_options, config.train.deterministic, jax.default_backend()),
    )


def create_loop(
    parts: Parts,
    compiled: Compiled,
    validation: Resident,
    workdirs: dict[int, Workdir],
    interrupt: Interrupt,
    *,
    start: Place | None = None,
    hooks: Sequence[Hook] = (),
    alone: bool = True,
) -> Loop:
    """Make the loop for the seeds of `workdirs`, each from its newest checkpoint, or from `start` if that is older."""
    # All are read before any folder is written to, since one that is damaged changes where the others go on.
    opened = {seed: Checkpoints(workdir.checkpoints) for seed, workdir in workdirs.items()}
    states = [
        open_state(parts, compiled.layout, workdirs[seed], checkpoints, seed, start)
        for seed, checkpoints in opened.items()
    ]
    runs = [
        SeedRun(seed, workdirs[seed], checkpoints, state, writes=is_main())
        for (seed, checkpoints), state in zip(opened.items(), states, strict=True)
    ]
    config = parts.config.train
    own = (NotFinite(), Speed(), Log(config.log_every_steps), Save(), EarlyStop(config.early_stop_patience_epochs))
    return Loop(parts, compiled, compiled.stack(states), runs, validation, interrupt, (*own, *hooks), alone)


def _train_together(
    setting: _Setting,
    workdirs: dict[int, Workdir],
    start: Place | None,
    interrupt: Interrupt,
    hooks: Sequence[Hook],
    *,
    alone: bool,
) -> tuple[dict[int, Report], list[str]]:
    """Train seeds side by side to their ends, and evaluate the best epoch of each."""
    loop = create_loop(
        setting.parts,
        setting.compiled,
        setting.validation,
        workdirs,
        interrupt,
        start=start,
        hooks=hooks,
        alone=alone,
    )
    lost = False
    try:
        for seed_run in loop.runs:
            if is_main():
                config = choose_seed(setting.parts.config, seed_run.seed)
                layout = setting.compiled.layout
                record_start(setting.parts, layout, seed_run.workdir, config, setting.facts, seed_run.step)
        interrupt.defer()
        loop.train()
        reports = loop.evaluate_best(setting.rows, setting.splits, setting.split)
        return reports, [seed_run.failure for seed_run in loop.runs if seed_run.failure]
    except RuntimeError:
        lost = count_processes() > 1
        raise
    finally:
        if not lost:  # closing waits for a save, and that for the process that is gone
            loop.close()


def choose_seed(config: ConfigDict, seed: int) -> ConfigDict:
    """Return the config that one seed's run would have alone."""
    chosen = ConfigDict(copy.deepcopy(config.to_dict()))
    chosen.train.seed, chosen.train.seeds = seed, ()
    return chosen.lock()


@contextlib.contextmanager
def _lock(workdirs: Iterable[Workdir]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for workdir in workdirs if is_main() else ():
            stack.enter_context(workdir.lock())
        yield


def _align(workdirs: dict[int, Workdir]) -> tuple[Place | None, list[int]]:
    """Return the seeds that train side by side next, those that are the least far, and the place that they go on from.

    A kill between two saves leaves some seeds one checkpoint ahead of others; they go back to the one that all have.
    """
    if len(workdirs) == 1:
        return None, list(workdirs)
    saved: dict[int, Sequence[Place | None]] = {
        seed: list_places(workdir.checkpoints) or [None] for seed, workdir in workdirs.items()
    }
    # None, of a seed that has saved nothing yet, comes before every place.
    lowest = min((places[-1] for places in saved.values()), key=lambda place: (place is not None, place))
    return lowest, [seed for seed, places in saved.items() if lowest in places]


def _choose_split(wanted: str, splits: Splits) -> str:
    if wanted == "auto":
        return "test" if len(splits["test"]) else "validation"
    data.select(splits, wanted)
    return wanted
