"""Runs gathered into a setting: repeats that differ by their seed alone."""

import itertools
import pathlib
from collections.abc import Sequence

from ferjax.errors import UserError
from ferjax.study.differences import find_changes, find_mismatch
from ferjax.study.runs import Run, Setting, load_run


def load_setting(name: str, folders: Sequence[pathlib.Path]) -> Setting:
    """Read the finished runs of one setting.

    Raises UserError for a broken file, and for runs that are no repeats of one experiment: it names two folders and
    what differs between them, be it more of the config than the seed, the data, or the evaluated images; or it names
    the seed that they share.
    """
    runs = sorted((load_run(folder) for folder in folders), key=lambda run: run.seed)
    for before, run in itertools.pairwise(runs):
        _check_repeat(runs[0], before, run)
    return Setting(name, tuple(runs))


def _check_repeat(first: Run, before: Run, run: Run) -> None:
    """Raise UserError where `run` is no repeat of the first run, or has the seed of the one before it."""
    pair = f"{first.folder} and {run.folder}"
    remedy = (
        "give every setting a folder of its own, or name the runs one by one (--workdir A B) to set them side by side"
    )
    if differences := find_changes(first.config, run.config):
        raise UserError(f"{pair} differ by more than the seed ({'; '.join(differences.values())}): {remedy}")
    if before.seed == run.seed:
        raise UserError(
            f"{before.folder} and {run.folder} have the same train.seed, {run.seed}: "
            "delete one of them, or train it with another seed"
        )
    if first.source.digest != run.source.digest:
        raise UserError(f"{pair} were trained on different data (the digest in data.json differs): {remedy}")
    if mismatch := find_mismatch(first, run):
        raise UserError(f"{pair} were evaluated on {mismatch}: evaluate all with the same eval.split")
