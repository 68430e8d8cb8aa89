"""The runs in and below some folders, by setting: folders called seed_<n> are the repeats of their parent."""

import itertools
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ferjax.errors import UserError
from ferjax.workdir import CONFIG_FILE, FIGURES_FOLDER, PREDICTIONS_FILE

DEPTH = 3  # folders below a named one in which runs are looked for
_SEED_FOLDER = re.compile(r"seed_\d+")
_PASSED_OVER = ("checkpoints", FIGURES_FOLDER, "tensorboard")


class Found(NamedTuple):
    """The folders of runs, each once, and the folders of searches, whose trials are not among them."""

    runs: list[pathlib.Path]
    searches: list[pathlib.Path]


def is_run(folder: pathlib.Path) -> bool:
    """Return whether a folder is that of one run, finished or not."""
    return any((folder / name).is_file() for name in (CONFIG_FILE, PREDICTIONS_FILE))


def is_finished(folder: pathlib.Path) -> bool:
    """Return whether the run in a folder has come to its end, where it saves its predictions."""
    return (folder / PREDICTIONS_FILE).is_file()


def is_search(folder: pathlib.Path) -> bool:
    """Return whether a folder is that of a search, whose trials have a table of their own."""
    return any((folder / name).is_file() for name in ("optuna.journal", "description.json"))


def has_repeats(folder: pathlib.Path) -> bool:
    """Return whether a folder, which may itself be that of a run, holds finished runs in folders called seed_<n>."""
    return folder.is_dir() and any(is_finished(child) for child in _list_children(folder) if _is_seed(child))


def find_runs(folders: Sequence[pathlib.Path]) -> Found:
    """Find the runs in and below `folders`, at most DEPTH levels down; numbers in names sort as numbers.

    The folder of a run may hold its repeats, in folders called seed_<n>; nothing else is looked for below a run, and
    nothing at all in the folder of a search. Raises UserError for a folder that is not there or that holds no run.
    """
    runs: dict[pathlib.Path, pathlib.Path] = {}
    searches: dict[pathlib.Path, pathlib.Path] = {}
    for folder in folders:
        remedy = f"train into it with 'python -m ferjax.main --workdir {folder}'"
        if not folder.is_dir():
            raise UserError(f"{folder} is not a folder; {remedy}")
        below = list(_walk(folder, DEPTH))
        if not below:
            raise UserError(f"{folder} holds no run, neither itself nor up to {DEPTH} folders down; {remedy}")
        if all(map(is_search, below)):
            raise UserError(
                f"{folder} holds no runs but a search's, whose trials are compared in {below[0] / 'search.md'}; to "
                f"compare them here, name {below[0] / 'trials'}"
            )
        for found in below:
            (searches if is_search(found) else runs).setdefault(found.resolve(), found)
    return Found(list(runs.values()), list(searches.values()))


def _walk(folder: pathlib.Path, depth: int) -> Iterator[pathlib.Path]:
    if is_search(folder):
        yield folder
        return
    itself = is_run(folder)
    if itself:
        yield folder
    if depth:
        for child in _list_children(folder):
            if not itself or (_is_seed(child) and is_run(child)):
                yield from _walk(child, depth - 1)


def _list_children(folder: pathlib.Path) -> list[pathlib.Path]:
    children = (child for child in folder.iterdir() if child.is_dir() and child.name not in _PASSED_OVER)
    return sorted((child for child in children if not child.name.startswith(".")), key=lambda c: natural_key(c.name))


def _is_seed(folder: pathlib.Path) -> bool:
    return _SEED_FOLDER.fullmatch(folder.name) is not None


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Make a sort key by which batch2 comes before batch32."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name) if part]


def group_runs(runs: Sequence[pathlib.Path]) -> tuple[dict[pathlib.Path, list[pathlib.Path]], list[pathlib.Path]]:
    """Group runs into settings, by the setting's folder, and list the runs that are left out beside their repeats.

    Runs called seed_<n> are repeats of one setting, which has the name of their parent. Any other run is a setting of
    its own, unless its folder holds repeats too: then those are the setting, and the run itself is left out.
    """
    groups: dict[pathlib.Path, list[pathlib.Path]] = {}
    for run in runs:
        resolved = run.resolve()
        groups.setdefault(resolved.parent if _is_seed(resolved) else resolved, []).append(run)
    left_out = []
    for folder, members in groups.items():
        repeats = [run for run in members if run.resolve() != folder]
        if repeats and len(repeats) < len(members):
            left_out += [run for run in members if run not in repeats]
            groups[folder] = repeats
    return groups, left_out


def name_settings(folders: Sequence[pathlib.Path]) -> dict[pathlib.Path, str]:
    """Name every setting after its folder, with as many of the parents' names as it takes to tell all apart."""
    for parts in range(1, max((len(folder.parts) for folder in folders), default=1) + 1):
        names = ["/".join(folder.parts[-parts:]) for folder in folders]
        if len(set(names)) == len(names):
            break
    return dict(zip(folders, names, strict=True)) if folders else {}


def create_slugs(names: Sequence[str]) -> list[str]:
    """Turn names into parts of file names, anchors and LaTeX labels, so that no two are alike in any of these."""
    slugs: list[str] = []
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"[^\w.-]+", "_", name)
        for number in itertools.count(1):
            slug = plain if number == 1 else f"{plain}_{number}"
            # Some file systems ignore case, and a label keeps only ASCII letters and digits.
            key = re.sub(r"[^a-z0-9]+", "-", slug.lower())
            if key not in taken:
                break
        taken.add(key)
        slugs.append(slug)
    return slugs
