"""SIGKILL at random moments, from reading the data to the report: every start goes on, to the straight run's bits."""

import collections
import dataclasses
import itertools
import json
import pathlib
import random
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping

from ferjax.training.places import list_places
from ferjax.workdir import Workdir
from scripts.drills.drill import expect
from scripts.drills.runs import QUICK_COMPILE, SMALL, check_same, command, environment, strip, write_faces
from scripts.drills.stages import STAGES, Ended, Timeline, draw_moment, start

_MOST_KILLS = 4  # of one chain of starts
_ENOUGH = 40  # kills, of which every stage must have got some
_EMPTY = ("data", "first compilation")  # stages that take a moment only where the cache has what they make


@dataclasses.dataclass(frozen=True)
class _Kind:
    """What is killed: the command, its further flags, and the runs that it leaves."""

    command: str
    flags: tuple[str, ...]
    runs: str


_TOGETHER = "seeds together"
_KINDS: Mapping[str, _Kind] = {
    "a run": _Kind("train", (), ""),
    _TOGETHER: _Kind("train", ("--config.train.seeds=(0, 1)", "--config.parallel.seeds=together"), "seed_*"),
    "a sweep": _Kind("sweep", (), "quickstart/seed_?"),
    "a search": _Kind("search", ("--space", "optim.learning_rate=1e-3,1e-4"), "trials/[!.]*"),
}


class _Chains:
    """Chains of starts in one folder each, the last of which comes to its end."""

    def __init__(self, folder: pathlib.Path, chance: random.Random) -> None:
        self._folder, self._chance = folder, chance
        self._data = folder / "faces.csv"
        write_faces(self._data)
        self._timelines: dict[str, Timeline] = {}
        self._tried: collections.Counter[tuple[str, str]] = collections.Counter()
        self.killed: collections.Counter[tuple[str, str]] = collections.Counter()
        self.resumed = 0  # starts that went on from a checkpoint

    def _start(self, kind: str, workdir: pathlib.Path, cache: pathlib.Path, stage: str = "") -> Ended:
        """Start a kind's command, and kill it at a moment of a stage where one is named."""
        data, chosen = f"--config.data.path={self._data}", _KINDS[kind]
        # So that training is saved within an epoch too.
        often = "--config.train.checkpoint_interval_s=0.1"
        env = environment(cache, XLA_FLAGS=QUICK_COMPILE)
        if chosen.command == "sweep":
            flags = [f"--config.{key}={value}" for key, value in SMALL.items()]
            arguments = ["bash", "scripts/sweep_seeds.sh", "configs/quickstart.py", "0", "1", "--", *flags, data, often]
            env |= {"WORKDIR": str(workdir), "PYTHON": sys.executable, "JOBS": "1"}
        else:
            arguments = command(workdir, data, often, *chosen.flags, name=chosen.command)
        moment = draw_moment(stage, self._timelines[kind], self._chance) if stage else None
        before = {run_folder: _read_progress(run_folder) for run_folder in _list_runs(workdir, chosen)}
        ended = start(arguments, env, workdir, moment)
        expect("compilation cache" not in ended.errors, f"{kind} in {workdir.name}: {strip(ended.errors)}")
        self._check_resumed(kind, before)
        return ended

    def _check_resumed(self, kind: str, before: Mapping[pathlib.Path, tuple[int, int | None]]) -> None:
        """Raise Failed where a start began anew what had a checkpoint; it would end in the same bits."""
        saved = {run_folder: step for run_folder, (_, step) in before.items() if step is not None}
        for run_folder, step in saved.items():
            starts = Workdir(run_folder).read_starts()[before[run_folder][0] :]
            # Of seeds side by side, one that is a checkpoint ahead goes back to the one that all have.
            wanted = {step, min(saved.values())} if kind == _TOGETHER else {step}
            for one in starts:
                self.resumed += 1
                expect(one["step"] in wanted, f"{run_folder}: went on from step {one['step']}, not {wanted}")

    def run_straight(self, kind: str) -> None:
        """Run a kind to its end, and note when it was in which stage."""
        ended = self._start(kind, self._folder / f"straight {kind}", self._folder / f"cache {kind}")
        expect(ended.code == 0, f"{kind}, straight: code {ended.code}: {strip(ended.errors)}")
        self._timelines[kind] = ended.timeline

    def run(self, number: int, kind: str, kills: int) -> None:
        """Kill a kind so many times, in the stages that were tried least, let it end, and compare it."""
        cache = self._folder / f"cache {number}"
        shutil.copytree(self._folder / f"cache {kind}", cache)
        workdir, hit = self._folder / f"chain {number}", []
        for _ in range(kills):
            # A save is short, and may have been missed in the straight run.
            seen = [stage for stage in STAGES if stage in {name for _, name in self._timelines[kind]}]
            fewest = min(self._tried[kind, stage] for stage in seen)
            stage = self._chance.choice([one for one in seen if self._tried[kind, one] == fewest])
            self._tried[kind, stage] += 1
            if stage in _EMPTY:
                shutil.rmtree(cache, ignore_errors=True)
            ended = self._start(kind, workdir, cache, stage)
            if ended.code == -signal.SIGKILL:
                self.killed[kind, ended.stage] += 1
                hit.append(ended.stage)
            else:  # it had this stage behind it, and came to its end
                expect(ended.code == 0, f"{kind}, chain {number}, killed in {hit}: {strip(ended.errors)}")
        ended = self._start(kind, workdir, cache)
        what = f"{kind}, chain {number}, killed in {hit}"
        expect(ended.code == 0, f"{what}: code {ended.code}: {strip(ended.errors)}")
        self._compare(kind, workdir, what)
        shutil.rmtree(cache, ignore_errors=True)  # a run that had come to its end made none

    def _compare(self, kind: str, workdir: pathlib.Path, what: str) -> None:
        """Raise Failed unless a chain left what the straight run did."""
        straight = self._folder / f"straight {kind}"
        expected = _list_runs(straight, _KINDS[kind])
        expect(len(expected) == (2 if _KINDS[kind].runs else 1), f"{what}: {len(expected)} runs")
        for run_folder in expected:
            check_same(run_folder, workdir / run_folder.relative_to(straight), what)
        if kind == "a search":
            scores = [_read_scores(found / "search.json") for found in (straight, workdir)]
            expect(scores[0] == scores[1], f"{what}: search.json differs")


def run(folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    """Kill `cases` times in all, in chains of starts whose last one comes to its end."""
    chains = _Chains(folder, chance)
    number = 0
    for kind in itertools.cycle(_KINDS):
        if number < len(_KINDS):
            chains.run_straight(kind)
        wanted = min(cases - chains.killed.total(), chance.randint(1, _MOST_KILLS))
        if wanted <= 0:
            break
        chains.run(number, kind, wanted)
        number += 1
    for kind in _KINDS:
        hits = {stage: n for (of, stage), n in sorted(chains.killed.items()) if of == kind}
        yield f"{kind}: {sum(hits.values())} kills ({', '.join(f'{stage} {n}' for stage, n in hits.items())})"
    missed = set(STAGES) - {stage for _, stage in chains.killed}
    expect(cases < _ENOUGH or not missed, f"{cases} kills, and none of them in {', '.join(sorted(missed))}")
    expect(cases < _ENOUGH or chains.resumed, "no start went on from a checkpoint")
    yield (
        f"{chains.killed.total()} kills in {number} chains: every start went on ({chains.resumed} times a run from a "
        "checkpoint), to the straight run's bits and lines"
    )


def _list_runs(folder: pathlib.Path, kind: _Kind) -> list[pathlib.Path]:
    return sorted(folder.glob(kind.runs)) if kind.runs else [folder]


def _read_progress(run_folder: pathlib.Path) -> tuple[int, int | None]:
    """Return how many starts a run has had, and the step of its newest checkpoint."""
    workdir = Workdir(run_folder)
    places = list_places(workdir.checkpoints)
    return len(workdir.read_starts()), places[-1].step if places else None


def _read_scores(path: pathlib.Path) -> list[object]:
    return [(trial["values"], trial["score"], trial["state"]) for trial in json.loads(path.read_text())["trials"]]
