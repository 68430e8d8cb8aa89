"""The sentences that the tables of a study need to be read."""

from ferjax.study.comparison import Group
from ferjax.study.paired_tests import RESAMPLES, RESAMPLES_F1
from ferjax.study.runs import Setting
from ferjax.study.summary import Summary

_P_SEEDS = (
    "p seeds: paired t test of the scores of the seeds that both settings have. It asks whether another set "
    "of seeds would show the difference, on these same images."
)
_P_IMAGES = (
    f"p images: paired bootstrap over the images, for accuracy {RESAMPLES:,} resamples of each image's share of seeds "
    f"that were right, for macro F1 {RESAMPLES_F1:,} resamples in which each seed's is computed anew. It asks "
    "whether another test set would show the difference, with these same trained networks."
)
_UNITS = (
    "Scores and differences are in percent, variances in squared percent; deviations divide by n - 1; s.e. is the "
    "standard error of the mean. NLL is the mean negative log-likelihood, ECE the expected calibration error in 15 "
    "bins of confidence."
)


def describe_group(group: Group) -> list[str]:
    """Say what the tables of a group are compared with, in which units, by which tests."""
    said = [f"Baseline: {group.baseline.name} ({group.reason}). {_UNITS}"]
    if group.comparisons:
        m = len(group.comparisons)
        correction = (
            f"corrected: by Holm's method for the {m} comparisons of this split, separately for each test and score."
            if m > 1
            else "corrected: with one comparison there is nothing to correct."
        )
        said += [_P_SEEDS, _P_IMAGES, correction]
    if group.reference and any(score.reference for summary in group.members for score in summary.scores):
        said.append(group.reference.note)
    return said


def describe_setting(summary: Summary) -> list[str]:
    """Say what a setting was measured on, and how that departs from the published one."""
    said = [f"Ours: {describe_basis(summary.setting)}."]
    if summary.copies:
        which = "image" if summary.copies == 1 else f"{summary.copies:,} images"
        said.append(f"Without copies: without the {which} that training holds an exact copy of.")
    if summary.reference and summary.departures:
        said.append(f"Not measured as the {summary.reference.title}'s: {'; '.join(summary.departures)}.")
    return said


def describe_basis(setting: Setting) -> str:
    """Say what a setting was measured on: network, split, length of training, start, seeds and data."""
    config = setting.config
    model, start = config["model"], config["init"]["pretrained"]
    width = "" if model["width"] == 1 else f" of width {model['width']:g}"
    epochs = f"at most {config['train']['epochs']} epochs"
    if steps := config["train"]["steps"]:
        epochs += f" and {steps} steps"
    seeds = "one seed" if len(setting.runs) == 1 else f"{len(setting.runs)} seeds"
    return (
        f"model {model['name']}{width}, {setting.split} split ({config['data']['split']}), {epochs}, "
        f"start {'from random weights' if start == 'none' else start}, {seeds}, data {setting.source.describe()}"
    )
