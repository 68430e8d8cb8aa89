"""A study -> its figures, as files."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ferjax import figures
from ferjax.figures import Curve, read_curves
from ferjax.study.comparison import Group
from ferjax.study.runs import find_changes
from ferjax.study.study import Study
from ferjax.study.summary import Summary

# Experiments that belong in one plot, by how their names begin.
FAMILIES = {"lr_": "learning rates", "batch": "batch sizes", "frozen": "frozen blocks"}
DPI = 110

Curves = dict[str, list[dict[str, Curve]]]


class Drawn(NamedTuple):
    """A figure's file and the caption that says what it shows."""

    path: pathlib.Path
    caption: str


class Drawings(NamedTuple):
    """The figures of the groups, by split; of families of settings; and of the settings, by name."""

    groups: dict[str, list[Drawn]]
    families: list[Drawn]
    settings: dict[str, list[Drawn]]


def draw_study(study: Study, output: pathlib.Path) -> Drawings:
    """Draws every figure that the study's runs have the numbers for into output/figures.

    Raises UserError for a metrics.jsonl that is broken.
    """
    curves: Curves = {}
    for summary in study.summaries:
        paths = [run.folder / "metrics.jsonl" for run in summary.setting.runs]
        curves[summary.name] = [read_curves(path) for path in paths if path.exists()]
    folder = output / "figures"
    return Drawings(
        {group.split: _draw_group(group, curves, folder) for group in study.groups},
        _draw_families(study, curves, folder),
        {summary.name: _draw_setting(summary, curves[summary.name], folder) for summary in study.summaries},
    )


def _draw_group(group: Group, curves: Curves, folder: pathlib.Path) -> list[Drawn]:
    split = group.split
    scores = {summary.name: summary.get("accuracy") for summary in group.members}
    figure = figures.draw_accuracies(
        f"Accuracy on the {split} split",
        {name: score.values for name, score in scores.items()},
        {
            name: (score.description.t95_low, score.description.t95_high)
            for name, score in scores.items()
            if score.description.t95_low is not None and score.description.t95_high is not None
        },
        {
            name: (score.reference["mean"], score.reference.get("std"))
            for name, score in scores.items()
            if "mean" in score.reference
        },
    )
    path = folder / f"accuracy_{split}.png"
    figures.save(figure, path, DPI)
    drawn = [Drawn(path, f"Accuracy on the {split} split: every seed, the mean with its 95% t interval, the report's.")]
    if len(group.members) > 1:
        title = f"Settings evaluated on the {split} split"
        drawn += _draw_validation(title, [s.name for s in group.members], curves, folder / f"curves_{split}.png")
    return drawn


def _draw_validation(title: str, names: Sequence[str], curves: Curves, path: pathlib.Path) -> list[Drawn]:
    """Validation curves of some settings; nothing where fewer than two have any."""
    settings: Mapping[str, list[Curve]] = {
        name: [run["validation"] for run in curves[name] if "validation" in run] for name in names
    }
    settings = {name: found for name, found in settings.items() if found}
    if len(settings) < 2:
        return []
    figures.save(figures.draw_validation_curves(title, settings), path, DPI)
    return [Drawn(path, f"{title}: validation loss and accuracy, mean over the seeds and the range between them.")]


def _draw_families(study: Study, curves: Curves, folder: pathlib.Path) -> list[Drawn]:
    drawn = []
    for prefix, title in FAMILIES.items():
        names = []
        for group in study.groups:
            members = [summary for summary in group.members if summary.name.split("/")[-1].startswith(prefix)]
            same = [s for s in members if not find_changes(group.baseline.setting.config, s.setting.config)]
            # The baseline belongs there (no block frozen), but not beside a member that is the same experiment.
            names += [] if same or not members else [group.baseline.name]
            names += [summary.name for summary in members]
        drawn += _draw_validation(title.capitalize(), names, curves, folder / f"curves_{prefix.rstrip('_')}.png")
    return drawn


def _draw_setting(summary: Summary, runs: list[dict[str, Curve]], folder: pathlib.Path) -> list[Drawn]:
    setting, name = summary.setting, summary.name
    seeds = "one seed" if len(summary.seeds) == 1 else f"{len(summary.seeds)} seeds"
    subject = f"{name}, {setting.split} split, n = {setting.images:,}"
    f1 = [summary.get("f1", class_name) for class_name in setting.classes]
    references = {s.class_name: (s.reference["mean"], s.reference.get("std")) for s in f1 if "mean" in s.reference}
    error = summary.get("calibration_error")
    spread = "" if error.description.std is None else f" ± {error.description.std:.2%}"
    merged = summary.merge_calibrations()
    plans = [
        (
            "confusion",
            figures.draw_mean_confusion(f"Confusion matrix: {subject}", summary.confusions, setting.classes),
            "Confusion matrix: share of the true class, with the images' mean and standard deviation over the seeds.",
        ),
        (
            "classes",
            figures.draw_class_scores(
                f"F1 of each class: {subject}", setting.classes, np.array([s.values for s in f1]).T, references
            ),
            "F1 of each class: mean and standard deviation over the seeds, and the report's.",
        ),
        (
            "reliability",
            figures.draw_reliability(
                f"Reliability: {subject}\nexpected calibration error {error.description.mean:.2%}{spread}, {seeds}",
                merged.count,
                merged.confidence,
                merged.correct,
            ),
            "Reliability: accuracy against confidence, and how many answers have it, all seeds together.",
        ),
    ]
    if any(split in run for run in runs for split in ("train", "validation")):
        curves = figures.draw_seed_curves(f"Training and validation: {name}", runs)
        plans.insert(0, ("curves", curves, "Curves: mean over the seeds, band from the lowest to the highest."))
    drawn = []
    for kind, figure, caption in plans:
        path = folder / f"{summary.slug}_{kind}.png"
        figures.save(figure, path, DPI)
        drawn.append(Drawn(path, f"{name}. {caption}"))
    return drawn
