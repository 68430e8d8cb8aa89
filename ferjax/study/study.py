"""A study: every finished run in some folders, grouped into settings, summarized and compared."""

import dataclasses
import pathlib
from collections.abc import Sequence

from ferjax.documents.words import list_first
from ferjax.errors import UserError
from ferjax.study.comparison import Group, compare_settings
from ferjax.study.folders import create_slugs, find_runs, group_runs, is_finished, name_settings
from ferjax.study.reference import Reference
from ferjax.study.runs import Setting
from ferjax.study.settings import load_setting
from ferjax.study.summary import Summary, summarize_setting
from ferjax.versions import NUMBER_TYPE
from ferjax.workdir import METRICS_FILE, Workdir


@dataclasses.dataclass(frozen=True)
class Study:
    """Settings in groups of one evaluated split; `notes` say which runs are missing or differ from the others."""

    groups: tuple[Group, ...]
    unfinished: tuple[pathlib.Path, ...]
    notes: tuple[str, ...]
    reference: Reference | None

    @property
    def summaries(self) -> list[Summary]:
        """List the settings of all groups."""
        return [summary for group in self.groups for summary in group.members]


def load_study(
    folders: Sequence[pathlib.Path], baseline: str | None = None, reference: Reference | None = None
) -> Study:
    """Read all finished runs in and below `folders` and compare their settings with the baseline.

    `reference`, where given, knows published figures to set beside ours. Raises UserError where nothing is finished,
    for a broken file, and for runs of one setting that are no repeats.
    """
    runs, searches = find_runs(folders)
    unfinished = tuple(run for run in runs if not is_finished(run))
    groups, beside = group_runs([run for run in runs if is_finished(run)])
    if not groups:
        raise UserError(
            f"{folders[0]} holds {len(unfinished)} runs, none of them finished: the command that began a run goes on "
            "with it"
        )
    names = name_settings(list(groups))
    settings = [load_setting(names[folder], found) for folder, found in groups.items()]
    slugs = create_slugs([setting.name for setting in settings])
    summaries = [summarize_setting(setting, slug, reference) for setting, slug in zip(settings, slugs, strict=True)]
    notes = [
        *_remark_on_left_out(unfinished, beside, searches),
        *_remark_on(settings),
        *_remark_on_departures(summaries),
    ]
    default = reference.baseline if reference else None
    return Study(compare_settings(summaries, baseline, default), unfinished, tuple(notes), reference)


def _remark_on_left_out(
    unfinished: Sequence[pathlib.Path], beside: Sequence[pathlib.Path], searches: Sequence[pathlib.Path]
) -> list[str]:
    notes = [f"{run}: not finished, left out" for run in unfinished]
    notes += [
        f"{run}: the run in this folder itself is left out, since its seed_<n> folders are the setting; see its own "
        f"{run / 'report.md'}"
        for run in beside
    ]
    return notes + [
        f"{folder}: a search, whose trials are left out; {folder / 'search.md'} compares them" for folder in searches
    ]


def _remark_on_departures(summaries: Sequence[Summary]) -> list[str]:
    return [
        f"{summary.name}: not measured as the {summary.reference.title}'s ({'; '.join(summary.departures)})"
        for summary in summaries
        if summary.reference and summary.departures
    ]


def _remark_on(settings: Sequence[Setting]) -> list[str]:
    notes = []
    for setting in settings:
        stopped = [run for run in setting.runs if run.config["train"]["steps"]]
        notes += [f"{run.folder}: stops after train.steps = {run.config['train']['steps']}" for run in stopped]
        notes += [
            f"{run.folder}: without metrics.jsonl, so it is in no curves"
            for run in setting.runs
            if not (run.folder / METRICS_FILE).exists()
        ]
        notes += _remark_on_number_types(setting)
        if len(setting.runs) == 1:
            notes.append(f"{setting.name}: one seed, so there is no deviation and no interval")
    return notes


def _remark_on_number_types(setting: Setting) -> list[str]:
    """Say where seeds trained in other number types, as model.dtype=auto makes it on machines of other kinds."""
    folders: dict[str, list[str]] = {}
    for run in setting.runs:
        for start in Workdir(run.folder).read_starts():
            trained = start.get("numbers_depend_on", {}).get(NUMBER_TYPE)
            if trained and run.folder.name not in folders.setdefault(trained, []):
                folders[trained].append(run.folder.name)
    if len(folders) < 2:
        return []
    parts = "; ".join(f"{trained}: {list_first(names)}" for trained, names in folders.items())
    return [f"{setting.name}: not all seeds trained in one number type ({parts}), so they differ by more than the seed"]
