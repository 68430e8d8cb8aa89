"""`python -m scripts.long_runs training|study`: measure what grows, and say what is not as it must be."""

import argparse
import json
import logging
import pathlib
import sys
import tempfile
from collections.abc import Sequence

from ferjax.figures.style import save
from scripts.long_runs import figures, study, training

_SIZES = (1, 5, 10, 20)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make one of the two; write its numbers and its figure; return 1 where something is not as it must be."""
    parser = argparse.ArgumentParser(prog="scripts/long_runs.sh", description=__doc__)
    parser.add_argument("what", choices=("training", "study"))
    parser.add_argument("--steps", type=int, default=100_000, help="of the run; 100,000 by default")
    parser.add_argument("--settings", type=int, nargs="+", default=list(_SIZES), help="of the studies, ten seeds each")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("workdir/long_runs"))
    found = parser.parse_args(arguments)
    found.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ferjax-long-") as folder:
        faults = (_train if found.what == "training" else _evaluate)(pathlib.Path(folder), found)
    for fault in faults:
        print(f"FAILED: {fault}")
    return int(bool(faults))


def _train(folder: pathlib.Path, found: argparse.Namespace) -> list[str]:
    logging.getLogger("ferjax").setLevel(logging.WARNING)
    seen = training.train(folder / "run", found.steps)
    summary = training.summarize(seen, folder / "run")
    _write(found.output / "training.json", {"summary": summary._asdict(), "epochs": [one._asdict() for one in seen]})
    save(figures.draw_training(seen), found.output / "training.png")
    print(
        f"{summary.steps:,} steps: behind the first epoch memory grew by {summary.growth_mb:.1f} MB, and "
        f"{summary.more_files} more files were open; the last tenth ran at {summary.speed:.0%} of the first's speed; "
        f"metrics.jsonl has {summary.bytes_a_line:.0f} bytes a line, TensorBoard's events {summary.bytes_an_event:.0f} "
        "a value."
    )
    return summary.faults


def _evaluate(folder: pathlib.Path, found: argparse.Namespace) -> list[str]:
    measured = study.measure_sizes(folder, found.settings)
    for one in measured:
        print(f"{one.runs} runs: {one.wall_s:.1f} s, {one.cpu_s:.1f} s of processor time, {one.peak_mb:.0f} MB")
    _write(found.output / "study.json", [one._asdict() for one in measured])
    save(figures.draw_study(measured), found.output / "study.png")
    return [
        f"{one.runs} runs took {one.cpu_s:.0f} s of processor time and {one.peak_mb:.0f} MB"
        for one in measured
        if one.runs <= 200 and (one.cpu_s > study.LONGEST_S or one.peak_mb > study.MOST_MB)
    ]


def _write(path: pathlib.Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
