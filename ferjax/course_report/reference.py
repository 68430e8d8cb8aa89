"""The figures of the 2023 course report, and how a setting's runs depart from what they were measured on."""

import functools
import importlib
import importlib.resources
import json
from typing import Any

from ferjax.config import find_differences
from ferjax.data.datasets.fer2013 import EMOTIONS
from ferjax.study.runs import SYNTHETIC, Setting

NOTE = (
    "report: the figures of the 2023 course report, of the test split of a stratified 80/10/10 hold-out, 5 repeats; "
    "a dash where it gives none that can be read. It does not say whether its deviations divide by n or n - 1; ours "
    "divide by n - 1. The report's mean accuracy of optimal, 69.32, stands above its own maximum, 69.0, as printed "
    "there."
)
# The one experiment of the report that starts from random weights.
RANDOM_START = "random_init"
ROWS = 35_887  # of FER-2013


@functools.cache
def _read() -> dict[str, Any]:
    text = importlib.resources.files("ferjax.course_report").joinpath("reference.json").read_text(encoding="utf-8")
    reference: dict[str, Any] = json.loads(text)
    return reference


def get_key(setting: Setting) -> str | None:
    """The report's name of a setting: the name of its folder; None where the report has nothing of it."""
    key = setting.name.split("/")[-1]
    return key if isinstance(_read().get(key), dict) and setting.classes == EMOTIONS else None


def look_up(setting: Setting, metric: str, class_name: str) -> dict[str, float]:
    """Statistic -> the report's figure (0..1) of 'accuracy', or of 'precision', 'recall' or 'f1' of a class."""
    key = get_key(setting)
    if key is None:
        return {}
    of_setting, found = _read()[key], {}
    if not class_name:
        found = of_setting.get(metric, {})
    elif metric in of_setting:
        found = next(entry for entry in of_setting[metric] if entry["class"] == EMOTIONS.index(class_name))
    elif f"{metric}_{class_name}" in of_setting:
        found = {"mean": of_setting[f"{metric}_{class_name}"]}
    return {name: float(value) for name, value in found.items() if name != "class" and value is not None}


def describe_basis(setting: Setting) -> str:
    """What a setting was measured on, in the terms in which the report says it."""
    config = setting.config
    model, start = config["model"], config["model"]["pretrained"]
    width = "" if model["width"] == 1 else f" of width {model['width']:g}"
    epochs = f"at most {config['train']['epochs']} epochs"
    if steps := config["train"]["steps"]:
        epochs += f" and {steps} steps"
    seeds = "one seed" if len(setting.runs) == 1 else f"{len(setting.runs)} seeds"
    return (
        f"model {model['name']}{width}, {setting.split} split ({config['data']['split']}), {epochs}, "
        f"start {'from random weights' if start == 'none' else start}, {seeds}, data {setting.source.describe()}"
    )


def find_departures(setting: Setting) -> list[str]:
    """How a setting's runs differ from ferjax's own config of that experiment of the report; empty if they don't."""
    key = get_key(setting)
    if key is None:
        return []
    departures = _find_other_data(setting)
    if setting.split != "test":
        departures.append(f"the {setting.split} split instead of the test split")
    random_start = setting.config["model"]["pretrained"] == "none"
    if random_start and key != RANDOM_START:
        departures.append("a start from random weights instead of ImageNet's")
    if key == RANDOM_START and not random_start:
        departures.append("a start from pretrained weights instead of random ones")
    if steps := setting.config["train"]["steps"]:
        departures.append(f"a stop after {steps} steps")
    changes = find_differences(_load_config(key), setting.config)
    return departures + [text for name, text in changes.items() if name not in ("train.seed", "model.pretrained")]


def _find_other_data(setting: Setting) -> list[str]:
    source = setting.source
    if source.path == SYNTHETIC:
        return [f"{source.rows:,} drawn faces instead of FER-2013's {ROWS:,} photographs"]
    if source.rows == ROWS:
        return []
    left_out = f", {source.skipped:,} bad ones left out" if source.skipped else ""
    of = f"of FER-2013's {ROWS:,} rows" if source.rows < ROWS else f"rows instead of FER-2013's {ROWS:,}"
    return [f"{source.rows:,} {of} ({source.name}{left_out})"]


def _load_config(key: str) -> dict[str, Any]:
    """ferjax's own config of an experiment of the report."""
    config: dict[str, Any] = json.loads(importlib.import_module(f"configs.{key}").get_config().to_json())
    return config
