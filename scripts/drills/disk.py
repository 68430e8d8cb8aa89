"""A disk that refuses: full, read-only, with limits, gone; each is one sentence, and the same command goes on later."""

import contextlib
import itertools
import os
import pathlib
import random
import subprocess
import time
from collections.abc import Iterator

from ferjax.training.places import list_places
from ferjax.workdir import Workdir
from scripts.drills.drill import Skipped, expect
from scripts.drills.runs import LONGEST_S, ROOT, check_same, check_sentence, command, environment, finish, strip

_ROOMY = "size=200m"
_PAGE = 4096
_MOST = 2.0  # times what the run leaves, the largest disk
_ENOUGH = 10  # disks, of which some must be too small and some large enough


def run(folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    """Let a run meet every kind of refusal, disks of `cases` sizes among them, and go on to the straight run's end."""
    env, straight = environment(folder / "cache"), folder / "straight"
    finish(command(straight), env)
    # A disk gives whole pages, and has room for a checkpoint more while one takes another's place.
    needed = sum(-(-path.stat().st_size // _PAGE) * _PAGE for path in straight.rglob("*"))
    yield f"the run leaves {needed / 1e6:.1f} MB"
    yield from _limit(straight, folder / "limits", env)
    yield from _vanish(folder / "vanished", env, chance)
    yield from _turn_clock_back(straight, folder / "clock", env)
    if os.geteuid():
        raise Skipped("full and read-only disks need root, who may mount a tmpfs")
    ended: dict[str, int] = {}
    for case in range(cases):
        size_kb = int(chance.uniform(0.02, _MOST) * needed / 1024)
        with _mounted(folder / f"full_{case}", f"size={size_kb}k") as disk:
            done = _try(command(disk / "run"), env)
            if done.returncode:
                sentence = check_sentence(done, f"a disk of {size_kb} kB")
                reason = "No space left on device"
                expect(reason in sentence, f"a disk of {size_kb} kB: the sentence does not say so: {sentence}")
            ended[str(done.returncode)] = ended.get(str(done.returncode), 0) + 1
            subprocess.run(["mount", "-o", f"remount,{_ROOMY}", str(disk)], check=True)
            finish(command(disk / "run"), env)
            check_same(straight, disk / "run", f"a disk of {size_kb} kB, enlarged")
    expect(cases < _ENOUGH or len(ended) == 2, f"{cases} disks, and all ended with the codes {ended}")
    yield f"{cases} disks of 2 % to {_MOST:.0%} of that: exit codes {ended}; enlarged, all go on to the same bits"
    yield from _close(straight, folder, env)
    yield from _fill_quota(folder, straight, env)


def _try(arguments: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=LONGEST_S, check=False, cwd=ROOT)


@contextlib.contextmanager
def _mounted(place: pathlib.Path, options: str) -> Iterator[pathlib.Path]:
    place.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        raise Skipped(f"no such tmpfs can be mounted here ({mounted.stderr.strip().partition(chr(10))[0]})")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _limit(straight: pathlib.Path, place: pathlib.Path, env: dict[str, str]) -> Iterator[str]:
    """Run with limits on a file's size and on open files."""
    for name, flag, values in (
        ("a file's size in kB", "-f", (1, 40, 400)),
        ("open files", "-n", (16, 24, 200)),
    ):
        codes = []
        for value, begun in itertools.product(values, (False, True)):
            workdir = place / f"{flag}_{value}_{begun}"
            if begun:
                finish(command(workdir, "--config.train.steps=8"), env)
            before = list_places(workdir / "checkpoints")
            done = _try(["bash", "-c", f'ulimit {flag} {value}; exec "$@"', "limited", *command(workdir)], env)
            codes.append(done.returncode)
            if done.returncode:
                check_sentence(done, f"at most {value} as {name}")
            kept = list_places(workdir / "checkpoints")
            expect(kept[-1:] >= before[-1:], f"at most {value} as {name}: {before} were there, and {kept} are left")
            finish(command(workdir), env)
            check_same(straight, workdir, f"after at most {value} as {name}")
        yield (
            f"at most {values} as {name}, from the start and from a checkpoint: exit codes {codes}; without, all go on "
            "to the same bits"
        )


def _vanish(place: pathlib.Path, env: dict[str, str], chance: random.Random) -> Iterator[str]:
    """Take the folder away in the middle of a run, as a network share goes, and bring it back."""
    place.mkdir()
    workdir, away = place / "run", place / "away"
    long = ("--config.train.epochs=200", "--config.train.early_stop_patience_epochs=0")
    finish(command(place / "straight", *long), env)
    running = subprocess.Popen(
        command(workdir, *long),
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    deadline_s = time.monotonic() + LONGEST_S
    while not list_places(workdir / "checkpoints") and time.monotonic() < deadline_s and running.poll() is None:
        time.sleep(0.1)
    time.sleep(chance.uniform(0, 1))
    expect(running.poll() is None, "the run had ended before its folder was taken away")
    workdir.rename(away)
    output, errors = running.communicate(timeout=LONGEST_S)
    done = subprocess.CompletedProcess(running.args, running.returncode, output, errors)
    sentence = check_sentence(done, "a folder that vanished")
    if workdir.exists():  # what the run made anew in its place
        workdir.rename(place / "made_anew")
    away.rename(workdir)
    yield f"a folder that vanished: {sentence}"
    again = _try(command(workdir, *long), env)
    expect(again.returncode == 0, f"a folder that came back: {strip(again.stderr)}")
    step = Workdir(workdir).read_starts()[-1]["step"]
    expect(step > 0, "a folder that came back: the run began anew")
    check_same(place / "straight", workdir, "a folder that came back")
    yield f"a folder that came back: the same command goes on from step {step}, to the same bits"


def _turn_clock_back(straight: pathlib.Path, workdir: pathlib.Path, env: dict[str, str]) -> Iterator[str]:
    """Go on with a run on a clock that shows an earlier day."""
    finish(command(workdir, "--config.train.steps=8"), env)
    program = "import sys, time, runpy\nnow = time.time\ntime.time = lambda: now() - 1e6\n"
    program += "sys.argv = ['ferjax', *sys.argv[1:]]\nrunpy.run_module('ferjax', run_name='__main__')\n"
    arguments = command(workdir)
    finish([arguments[0], "-c", program, *arguments[3:]], env)
    check_same(straight, workdir, "a clock that was set back")
    yield "a clock that was set back by eleven days: the same bits"


def _close(straight: pathlib.Path, folder: pathlib.Path, env: dict[str, str]) -> Iterator[str]:
    """Run in a read-only folder, and with a read-only cache."""
    with _mounted(folder / "closed", _ROOMY) as disk:
        finish(command(disk / "run", "--config.train.steps=8"), env)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        sentence = check_sentence(_try(command(disk / "run"), env), "a read-only folder")
        yield f"a read-only folder: {sentence}"
        done = _try(command(folder / "cacheless"), {**env, "FERJAX_CACHE": str(disk)})
        expect(done.returncode == 0, f"a read-only cache: {done.stderr[-2000:]}")
        check_same(straight, folder / "cacheless", "a read-only cache")
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        finish(command(disk / "run"), env)
        check_same(straight, disk / "run", "a folder that was read-only")
    yield "a read-only cache, and a folder that may be written again: the same bits"
    for size_kb in (64, 1024):
        with _mounted(folder / f"cache_{size_kb}", f"size={size_kb}k") as disk:
            finish(command(folder / f"cached_{size_kb}"), {**env, "FERJAX_CACHE": str(disk)})
            check_same(straight, folder / f"cached_{size_kb}", f"a cache on a disk of {size_kb} kB")
    yield "a cache on a disk that is full: the same bits"


def _fill_quota(folder: pathlib.Path, straight: pathlib.Path, env: dict[str, str]) -> Iterator[str]:
    """Run in a folder whose user may have 300 kB there, as users whom no quota is waived."""
    held = ["setpriv", "--bounding-set=-sys_resource"]
    try:
        with _mounted(folder / "quota", f"{_ROOMY},usrquota,usrquota_block_hardlimit=300k") as disk:
            sentence = check_sentence(_try([*held, *command(disk / "run")], env), "a quota")
            expect("quota" in sentence, f"a quota: the sentence does not say so: {sentence}")
            subprocess.run(["mount", "-o", f"remount,{_ROOMY},usrquota_block_hardlimit=0", str(disk)], check=True)
            finish([*held, *command(disk / "run")], env)
            check_same(straight, disk / "run", "a quota that was raised")
            yield f"a quota: {sentence}"
    except Skipped as skipped:
        yield f"a quota: not made here, {skipped}"
