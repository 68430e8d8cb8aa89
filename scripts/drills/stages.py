"""The stages that a run goes through, as it notes them, and SIGKILL at a moment of one of them."""

import contextlib
import dataclasses
import os
import pathlib
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence

from scripts.drills.drill import expect
from scripts.drills.runs import LONGEST_S, ROOT

START, ELSEWHERE = "start", "between"
SAVING, SAVING_VALIDATED = "saving", "saving the best"
# `start` is that of Python and the libraries; a checkpoint behind a validation is the one that gets a new best network.
STAGES = (
    START,
    "data",
    "first compilation",
    "training",
    "validation",
    SAVING,
    SAVING_VALIDATED,
    "evaluation",
    "report",
)
_POLL_S = 0.002
_SITE = pathlib.Path(__file__).parent / "site"

# When each stage was entered, in seconds from the start.
Timeline = Sequence[tuple[float, str]]


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended: its code, what it said of errors, the stage that it was last in, and when each began."""

    code: int
    errors: str
    stage: str
    timeline: Timeline


@dataclasses.dataclass(frozen=True)
class Moment:
    """A moment to kill at: so many seconds after a stage was entered for the `visit`-th time."""

    stage: str
    visit: int
    after_s: float


def draw_moment(stage: str, straight: Timeline, chance: random.Random) -> Moment | None:
    """Draw a moment of a stage by the times of a run that nothing stopped; None where that had no such stage."""
    visits = [i for i, (_, name) in enumerate(straight) if name == stage]
    if not visits:
        return None
    visit = chance.randrange(len(visits))
    began_s = straight[visits[visit]][0]
    next_s = straight[min(visits[visit] + 1, len(straight) - 1)][0]
    return Moment(stage, visit + 1, chance.uniform(0, next_s - began_s))


def start(
    arguments: Sequence[str], env: Mapping[str, str], folder: pathlib.Path, moment: Moment | None = None
) -> Ended:
    """Run a command to its end, or kill all of its processes at a moment; where that never comes, it ends by itself.

    Its runs are in `folder`, and what it says in files beside that.
    """
    notes, errors = (folder.with_name(f"{folder.name}.{kind}") for kind in ("stages", "errors"))
    notes.write_text("")
    left = frozenset(_list_unfinished(folder))  # by the start before
    with errors.open("w") as file:
        begun_s = time.monotonic()
        process = subprocess.Popen(
            arguments,
            env={**env, "FERJAX_DRILL_STAGES": str(notes), "PYTHONPATH": f"{_SITE}{os.pathsep}{env['PYTHONPATH']}"},
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
            cwd=ROOT,
        )
        timeline, count, saving = [(0.0, START)], 0, ""
        while process.poll() is None:
            now_s = time.monotonic() - begun_s
            expect(now_s < LONGEST_S, f"{' '.join(arguments)} takes more than {LONGEST_S} s")
            noted = _read(notes)
            timeline += [(now_s, name) for name in noted[count:]]
            count = len(noted)
            if moment is None or moment.stage in (SAVING, SAVING_VALIDATED):
                before, saving = saving, find_saving(folder, left)
                if saving and saving != before:
                    timeline.append((now_s, saving))
            times = [at_s for at_s, name in timeline if moment is not None and name == moment.stage]
            if moment is not None and len(times) >= moment.visit:
                time.sleep(max(0.0, times[moment.visit - 1] + moment.after_s - (time.monotonic() - begun_s)))
                kill_session(process)
                break
            time.sleep(_POLL_S)
        code = process.wait()
    last = [START, *_read(notes)][-1]
    return Ended(code, errors.read_text(errors="replace"), find_saving(folder, left) or last, tuple(timeline))


def _read(notes: pathlib.Path) -> list[str]:
    return [name or ELSEWHERE for name in notes.read_text().split("\n")[:-1]]


def find_saving(folder: pathlib.Path, left: frozenset[tuple[str, int]] = frozenset()) -> str:
    """Return which kind of checkpoint is being written anywhere below a folder, besides those that are `left`."""
    for name, number in _list_unfinished(folder):
        if (name, number) not in left:
            return SAVING_VALIDATED if "_validated." in name else SAVING
    return ""


def _list_unfinished(folder: pathlib.Path) -> Iterator[tuple[str, int]]:
    for depth in ("", "*/", "*/*/"):
        for path in folder.glob(f"{depth}checkpoints/*.orbax-checkpoint-tmp*"):
            with contextlib.suppress(OSError):  # it is finished by now
                yield path.name, path.stat().st_ino


def kill_session(process: "subprocess.Popen[bytes]") -> None:
    """Kill the leader of a session, and all others in it, whatever process groups they are in."""
    process.kill()
    while members := [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _is_in(pid, process.pid)]:
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(_POLL_S)


def _is_in(pid: int, session: int) -> bool:
    """Return whether a process is alive, and in a session."""
    try:
        about = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return int(about[3]) == session and about[0] not in "ZX"
