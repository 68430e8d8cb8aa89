"""`python -m scripts.drills [NAME ...]`: run drills by name, or all."""

import argparse
import importlib
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from scripts.drills.drill import Drill, Failed, Skipped

# The drill's file, what it is about, and how many accidents it makes by default.
DRILLS: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "damage": ("checkpoints and saved networks with broken bytes", 200),
        "disk": ("full, read-only, with limits, vanished; a clock that goes back", 20),
        "kill": ("SIGKILL in every stage of a run, of seeds together, of a sweep, of a search", 50),
        "fuzz": ("mutated csvs, archives, images, and some weight files", 1000),
        "values": ("two steps with values of every config key, within and beyond its range", 440),
        "uploads": ("requests to the server: broken forms and pictures, wrong sizes, clients that leave", 5000),
        "weights": ("mutated weight files by the hundred thousand", 100_000),
        "saves": ("thousands of saves in a row at random pauses", 3000),
        "memory": ("too little memory, by a limit on the process and by a control group", 2),
        "processes": ("two processes: a straggler, a death, a cut network", 1),
        "numerics": ("the same run twice, other devices, bfloat16, numbers that are not finite", 1),
        "formats": ("runs that earlier versions began", 11),
        "supply": ("what could run a file's code, in ferjax's sources", 1),
        "locks": ("two runs on one folder, another pid namespace, a stale lock", 6),
    }
)


def load(name: str) -> Drill:
    """Load a drill by its name."""
    about, cases = DRILLS[name]
    return Drill(about, cases, importlib.import_module(f"scripts.drills.{name}").run)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the drills that were named, say what each saw; return 1 where something did not hold."""
    parser = argparse.ArgumentParser(prog="scripts/drills.sh", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*DRILLS, []], metavar="NAME", help=", ".join(DRILLS))
    parser.add_argument("--cases", type=int, help="how many accidents each drill makes; it knows a number of its own")
    parser.add_argument("--seed", type=int, default=0, help="another number draws other accidents")
    parser.add_argument("--folder", type=pathlib.Path, help="where to work; a temporary folder by default")
    found = parser.parse_args(arguments)
    # Drills start commands from a process that has jax, and none of them is a fork that goes on as it is.
    warnings.filterwarnings("ignore", r"os\.fork\(\) was called")
    failed = 0
    for name in found.names or DRILLS:
        drill, start_s = load(name), time.monotonic()
        print(f"{name}: {drill.about}", flush=True)
        with tempfile.TemporaryDirectory(prefix=f"ferjax-drill-{name}-", dir=found.folder) as folder:
            try:
                for line in drill.run(pathlib.Path(folder), found.cases or drill.cases, random.Random(found.seed)):
                    print(f"  {line}", flush=True)
                print(f"  held, in {time.monotonic() - start_s:.0f} s", flush=True)
            except Skipped as skipped:
                print(f"  not made here: {skipped}", flush=True)
            except (Failed, subprocess.TimeoutExpired) as fault:
                failed += 1
                print(f"  FAILED: {fault}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
