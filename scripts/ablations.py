"""Changes of the fast recipe one by one, at a quarter of its time: trained, compared on the same seeds, tabulated.

    python -m scripts.ablations --data fer2013.csv --output workdir/ablations [--seeds 0 1 2] [NAME ...]

Every change is trained for as many epochs as take the minutes of the recipe itself, by its `cost`: the time of a step
of the change over that of the recipe, from 40 steps each on one Zen 4 core in bfloat16, known to about a tenth, and 1
where no more than that was seen or the arithmetic is the same. Runs that are finished are skipped and those that were
stopped go on, so that it can be worked off in pieces. At the end a table is written from the study's own numbers: the
difference to the recipe with its paired 95 % interval over images, of all seeds.
"""

import argparse
import dataclasses
import json
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ferjax.documents.markdown import to_markdown
from ferjax.documents.table import Table
from ferjax.files import write_text
from ferjax.study import evaluate_study

BASE = "recipe"
EPOCHS = 7  # of the recipe, at a quarter of its time


@dataclasses.dataclass(frozen=True)
class Change:
    """One change: the config keys that it sets, what was expected of it, and the cost of its step over the recipe's."""

    keys: Mapping[str, Any]
    expected: str
    cost: float = 1.0


CHANGES: Mapping[str, Change] = MappingProxyType(
    {
        BASE: Change({}, "what the others are compared with"),
        "adam": Change(
            {"optim.name": "adam", "optim.learning_rate": 2e-3}, "worse: Muon learns more from a step", cost=0.85
        ),
        "sgd": Change(
            {"optim.name": "sgd", "optim.learning_rate": 0.1, "optim.weight_decay": 5e-3},
            "worse in so few epochs",
            cost=0.92,
        ),
        "rate_half": Change({"optim.learning_rate": 4e-3}, "a little worse"),
        "rate_double": Change({"optim.learning_rate": 1.6e-2}, "equal or worse"),
        "decay_0": Change({"optim.weight_decay": 0.0}, "a little worse"),
        "decay_0.2": Change({"optim.weight_decay": 0.2}, "equal at this length, better at four times it"),
        "batch_128": Change({"train.batch_size": 128}, "equal, and slower", cost=1.2),
        "batch_512": Change({"train.batch_size": 512}, "worse in so few steps", cost=1.0),
        "no_average": Change({"optim.average_decay": 0.0}, "worse by half a point"),
        "no_smoothing": Change({"loss.label_smoothing": 0.0}, "worse by half a point"),
        "smoothing_0.2": Change({"loss.label_smoothing": 0.2}, "better by a point (FER-2013's labels are noisy)"),
        "no_dropout": Change({"model.dropout": 0.0}, "equal at this length"),
        "mixup_0.2": Change({"augment.mixup_alpha": 0.2}, "worse at this length, better at four times it"),
        "no_erasing": Change({"augment.erase_prob": 0.0}, "better at this length"),
        "flip_alone": Change(
            {
                "augment.rotation_deg": 0.0,
                "augment.shift_fraction": 0.0,
                "augment.zoom_fraction": 0.0,
                "augment.shear_deg": 0.0,
                "augment.erase_prob": 0.0,
            },
            "worse by several points",
        ),
        "pool_mean": Change({"model.pool": "mean"}, "a little worse"),
        "wide": Change({"model.width": 1.25}, "worse: fewer passes over the data", cost=1.42),
        "narrow": Change({"model.width": 0.75}, "equal: more passes over the data", cost=0.66),
        "dedup": Change({"data.dedup": "exact"}, "worse by the leaked copies, a tenth of a point"),
        "focal": Change({"loss.name": "focal", "loss.gamma": 2.0}, "a little worse"),
    }
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the arguments, train what is not finished, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CHANGES)}; all by default")
    parser.add_argument("--data", required=True, help="FER-2013, as data.path takes it")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="the study's folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--table", type=pathlib.Path, help="where the table goes; OUTPUT/ablations.md by default")
    found = parser.parse_args(arguments)
    if unknown := set(found.names) - CHANGES.keys():
        parser.error(f"there is no change {', '.join(sorted(unknown))}: choose of {', '.join(CHANGES)}")
    names = [BASE, *(name for name in CHANGES if name in (found.names or CHANGES) and name != BASE)]
    for seed in found.seeds:  # seed by seed, so that a part of the list is a comparison already
        for name in names:
            train(name, seed, found.data, found.output)
    table = tabulate(found.output)
    write_text(found.table or found.output / "ablations.md", f"{to_markdown(table)}\n")


def train(name: str, seed: int, data: str, output: pathlib.Path) -> None:
    """Train one change from one seed, unless it is finished; raises CalledProcessError where training fails."""
    folder = output / name / f"seed_{seed}"
    if (folder / "report.json").exists():
        return
    change = CHANGES[name]
    keys = {"data.path": data, "train.seed": seed, "train.epochs": round(EPOCHS / change.cost), **change.keys}
    flags = [f"--config.{key}={value}" for key, value in keys.items()]
    command = [sys.executable, "-m", "ferjax.main", "--config", "fast", f"--workdir={folder}", *flags]
    subprocess.run(command, check=True)


def tabulate(output: pathlib.Path) -> Table:
    """Evaluate the study in `output` and return the table of what each change brought, in points of accuracy."""
    evaluated = evaluate_study([output], baseline=BASE)
    numbers = json.loads(next(path for path in evaluated.files if path.suffix == ".json").read_text(encoding="utf-8"))
    group = numbers["groups"][0]
    rows = []
    for name, change in CHANGES.items():
        if name not in group["settings"]:
            continue
        accuracy = group["settings"][name]["scores"]["accuracy"]
        spread = f" ± {100 * accuracy['std']:.2f}" if accuracy["n"] > 1 else ""
        keys = ", ".join(f"{key}={value}" for key, value in change.keys.items()) or "-"
        rows.append(
            (
                name,
                keys,
                change.expected,
                str(accuracy["n"]),
                f"{100 * accuracy['mean']:.2f}{spread}",
                _describe_difference(group["comparisons"].get(name)),
            )
        )
    header = ("change", "keys", "expected", "seeds", "accuracy %", "difference, 95 % interval")
    return Table(header, tuple(rows), words=("change", "keys", "expected"))


def _describe_difference(comparison: Mapping[str, Any] | None) -> str:
    test = (comparison or {}).get("accuracy", {}).get("over_images")
    if test is None or test["mean"] is None:
        return "-"
    return f"{100 * test['mean']:+.2f} ({100 * test['low']:+.2f} to {100 * test['high']:+.2f})"


if __name__ == "__main__":
    main()
