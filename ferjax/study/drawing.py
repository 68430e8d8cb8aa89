"""The figures of a study, drawn into files."""

import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ferjax import figures
from ferjax.figures import Curve, Figure, read_curves
from ferjax.study.comparison import Group
from ferjax.study.differences import find_changes
from ferjax.study.study import Study
from ferjax.study.summary import Score, Summary
from ferjax.workdir import FIGURES_FOLDER, METRICS_FILE

_DPI = 110

# The curves of every run of a setting, by the setting's name.
Curves = Mapping[str, Sequence[Mapping[str, Curve]]]


class Drawn(NamedTuple):
    """The file of a figure and the caption that says what it shows."""

    path: pathlib.Path
    caption: str


class Drawings(NamedTuple):
    """The figures of the groups, by split; of families of settings; and of the settings, by name."""

    groups: dict[str, list[Drawn]]
    families: list[Drawn]
    settings: dict[str, list[Drawn]]


@figures.styled  # once for all of them
def draw_study(study: Study, output: pathlib.Path) -> Drawings:
    """Draw every figure that the study's runs have the numbers for into output/figures.

    Raises UserError for a metrics.jsonl that is broken.
    """
    curves: dict[str, list[dict[str, Curve]]] = {}
    for summary in study.summaries:
        paths = [run.folder / METRICS_FILE for run in summary.setting.runs]
        curves[summary.name] = [read_curves(path) for path in paths if path.exists()]
    folder = output / FIGURES_FOLDER
    draw_confusion = functools.partial(figures.draw_mean_confusion, saved={})
    return Drawings(
        {group.split: _draw_group(group, curves, folder) for group in study.groups},
        _draw_families(study, curves, folder),
        {
            summary.name: _draw_setting(summary, curves[summary.name], folder, draw_confusion)
            for summary in study.summaries
        },
    )


def _save(draw: Callable[[], Figure], path: pathlib.Path, caption: str) -> list[Drawn]:
    """Draw a figure into a file; an empty list, with a warning, where that fails."""
    with figures.forgiving(path.name):
        figures.save(draw(), path, _DPI)
        return [Drawn(path, caption)]
    return []


def _draw_group(group: Group, curves: Curves, folder: pathlib.Path) -> list[Drawn]:
    split = group.split
    scores = {summary.name: summary.get("accuracy") for summary in group.members}
    references = _collect_references(scores)
    draw = functools.partial(
        figures.draw_accuracies,
        f"Accuracy on the {split} split",
        {name: score.values for name, score in scores.items()},
        {
            name: (score.description.t95_low, score.description.t95_high)
            for name, score in scores.items()
            if score.description.t95_low is not None and score.description.t95_high is not None
        },
        references,
        group.reference.title if group.reference else "",
    )
    path = folder / f"accuracy_{split}.png"
    published = f", the {group.reference.title}'s" if group.reference and references else ""
    caption = f"Accuracy on the {split} split: every seed, the mean with its 95% t interval{published}."
    drawn = _save(draw, path, caption)
    if len(group.members) > 1:
        title = f"Settings evaluated on the {split} split"
        drawn += _draw_validation(title, [s.name for s in group.members], curves, folder / f"curves_{split}.png")
    return drawn


def _collect_references(scores: Mapping[str, Score]) -> dict[str, tuple[float, float | None]]:
    """Collect the published means and deviations."""
    return {
        name: (score.reference["mean"], score.reference.get("std"))
        for name, score in scores.items()
        if "mean" in score.reference
    }


def _draw_validation(title: str, names: Sequence[str], curves: Curves, path: pathlib.Path) -> list[Drawn]:
    """Draw the validation curves of some settings; nothing where fewer than two have any."""
    settings: Mapping[str, list[Curve]] = {
        name: [run["validation"] for run in curves[name] if "validation" in run] for name in names
    }
    settings = {name: found for name, found in settings.items() if found}
    if len(settings) < 2:
        return []
    caption = f"{title}: validation loss and accuracy, mean over the seeds and the range between them."
    return _save(lambda: figures.draw_validation_curves(title, settings), path, caption)


def _draw_families(study: Study, curves: Curves, folder: pathlib.Path) -> list[Drawn]:
    """Draw the settings whose names begin alike in one plot, for each of the reference's families."""
    drawn = []
    for prefix, title in (study.reference.families if study.reference else {}).items():
        names = []
        for group in study.groups:
            members = [summary for summary in group.members if summary.name.split("/")[-1].startswith(prefix)]
            same = [s for s in members if not find_changes(group.baseline.setting.config, s.setting.config)]
            # The baseline belongs there too (as the one with no frozen block, say), but not beside a member that is the
            # same experiment.
            names += [] if same or not members else [group.baseline.name]
            names += [summary.name for summary in members]
        drawn += _draw_validation(title.capitalize(), names, curves, folder / f"curves_{prefix.rstrip('_')}.png")
    return drawn


def _draw_setting(
    summary: Summary,
    runs: Sequence[Mapping[str, Curve]],
    folder: pathlib.Path,
    draw_confusion: Callable[..., Figure],
) -> list[Drawn]:
    setting, name = summary.setting, summary.name
    subject = f"{name}, {setting.split} split, n = {setting.images:,}"
    plans: list[tuple[str, Callable[[], Figure], str]] = []
    if any(split in run for run in runs for split in ("train", "validation")):
        curves = functools.partial(figures.draw_seed_curves, f"Training and validation: {name}", runs)
        plans.append(("curves", curves, "Curves: mean over the seeds, band from the lowest to the highest."))
    title = f"Confusion matrix: {subject}"
    confusion = functools.partial(draw_confusion, title, summary.confusions, setting.classes)
    said = "Confusion matrix: share of the true class, with the images' mean and standard deviation over the seeds."
    plans += [
        ("confusion", confusion, said),
        ("classes", *_draw_classes(summary, subject)),
        ("reliability", *_draw_reliability(summary, subject)),
    ]
    drawn: list[Drawn] = []
    for kind, draw, caption in plans:
        drawn += _save(draw, folder / f"{summary.slug}_{kind}.png", f"{name}. {caption}")
    return drawn


def _draw_classes(summary: Summary, subject: str) -> tuple[Callable[[], Figure], str]:
    classes = summary.setting.classes
    f1 = {class_name: summary.get("f1", class_name) for class_name in classes}
    references = _collect_references(f1)
    values = np.array([score.values for score in f1.values()]).T
    title = summary.reference.title if summary.reference else ""
    subject = f"F1 of each class: {subject}"
    draw = functools.partial(figures.draw_class_scores, subject, classes, values, references, title)
    published = f", and the {title}'s" if references else ""
    return draw, f"F1 of each class: mean and standard deviation over the seeds{published}."


def _draw_reliability(summary: Summary, subject: str) -> tuple[Callable[[], Figure], str]:
    error, merged = summary.get("calibration_error").description, summary.merge_calibrations()
    spread = "" if error.std is None else f" ± {error.std:.2%}"
    seeds = "one seed" if len(summary.seeds) == 1 else f"{len(summary.seeds)} seeds"
    title = f"Reliability: {subject}\nexpected calibration error {error.mean:.2%}{spread}, {seeds}"
    draw = functools.partial(figures.draw_reliability, title, merged.count, merged.confidence, merged.correct)
    return draw, "Reliability: accuracy against confidence, and how many answers have it, all seeds together."
