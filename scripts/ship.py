"""Make of a finished run the network that ferjax brings along: ferjax/shipped/fer2013.safetensors, and its card.

    python -m scripts.ship RUN --hardware "2 cores of an AMD Zen 4 (AVX-512)"

The card holds what is known of the network, from the run's own files, so that no number of it is typed by hand.
"""

import argparse
import dataclasses
import hashlib
import json
import pathlib
from typing import Any

from ferjax.errors import UserError
from ferjax.files import write_json
from ferjax.network import load
from ferjax.networks.saved import SHIPPED
from ferjax.workdir import Workdir

LICENCE = (
    "The weights are licensed as ferjax is (Apache-2.0). They were trained on FER-2013 (Goodfellow et al. 2013), "
    "whose images were gathered from the web and are for research; whoever uses the weights must judge whether that "
    "allows it."
)


def main() -> None:
    """Parse the arguments, write both files, print the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--hardware", required=True, help="what the run was trained on")
    found = parser.parse_args()
    card = ship(found.run, found.hardware)
    print(json.dumps(card, indent=1))


def ship(run: pathlib.Path, hardware: str) -> dict[str, Any]:
    """Write the network of `run` and its card, and return the card. Raises UserError where the run lacks a number."""
    workdir, network = Workdir(run), load(run)
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    calibration, data = workdir.read_calibration(), workdir.read_data()
    if not calibration or data is None:
        raise UserError(f"{run} has not come to its end: let it end, so that it has a report and a temperature.")
    # Nobody else has the folders of whoever trained it.
    network = network.without_folders()
    about = {key: network.about[key] for key in ("step", "best_epoch")} | {"data": "FER-2013"}
    network = dataclasses.replace(network, about=about)
    SHIPPED.parent.mkdir(exist_ok=True)
    network.save(SHIPPED, half=True)
    card = {
        "classes": network.classes,
        "image_shape": network.image_shape,
        "scaling": network.scaling,
        "temperature": network.temperature,
        "unsure_below": network.unsure_below,
        "parameters": network.count_parameters(),
        "sha256": hashlib.sha256(SHIPPED.read_bytes()).hexdigest(),
        "config": dict(network.config),
        "data": {"name": "FER-2013", "digest": data["digest"], "training_rows": sum(data["counts"]["train"])},
        "seed": network.config["train.seed"],
        "epochs": network.about["best_epoch"],
        "minutes": round(measure_minutes(workdir), 1),
        "hardware": hardware,
        "split": report["split"],
        "views": network.config["eval.views"],
        "accuracy": report["accuracy"],
        "macro_f1": report["macro_f1"],
        "without_copies": report["without_copies"],
        "per_class_f1": {name: scores["f1"] for name, scores in report["per_class"].items()},
        "calibration": calibration,
        "licence": LICENCE,
    }
    write_json(SHIPPED.with_suffix(".json"), card)
    return card


def measure_minutes(workdir: Workdir) -> float:
    """Return the minutes of training and validation of a run, which metrics.jsonl has the seconds of."""
    lines = map(json.loads, workdir.metrics.read_text(encoding="utf-8").splitlines())
    return sum(float(line["seconds"]) for line in lines if line["split"] in ("train", "validation")) / 60


if __name__ == "__main__":
    main()
