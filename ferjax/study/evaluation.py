"""The evaluation of finished runs: report and figures of one run, or of several side by side."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ferjax.errors import UserError
from ferjax.figures import draw_all, find_missing_sources
from ferjax.report import Report, report_run, write_report
from ferjax.study.drawing import draw_study
from ferjax.study.files import write_study
from ferjax.study.folders import has_repeats, is_run
from ferjax.study.reference import Reference
from ferjax.study.study import Study, load_study
from ferjax.workdir import FIGURES_FOLDER


class EvaluatedRun(NamedTuple):
    """The report on a run, the files that were written, and what kept the other figures from being drawn."""

    report: Report
    files: list[pathlib.Path]
    figures: list[pathlib.Path]
    missing: Mapping[str, tuple[str, ...]]  # a figure that was not drawn -> the files that it needs


class EvaluatedStudy(NamedTuple):
    """A study, the files that were written, and the folder of its figures."""

    study: Study
    files: list[pathlib.Path]
    figures: pathlib.Path


def evaluate_run(workdir: pathlib.Path) -> EvaluatedRun:
    """Write the report and the figures of a run from what training saved in its folder.

    Raises UserError for a folder without predictions or with a broken file.
    """
    report = report_run(workdir)
    files = write_report(workdir, report)
    return EvaluatedRun(report, files, draw_all(workdir), find_missing_sources(workdir))


def evaluate_study(
    workdirs: Sequence[pathlib.Path],
    output: pathlib.Path | None = None,
    baseline: str | None = None,
    reference: Reference | None = None,
) -> EvaluatedStudy:
    """Write the report and the figures of repeated runs, or of settings side by side.

    They go into `output`: the first of `workdirs` where none is named, or the folder 'repeats' in it where it is the
    folder of a run that holds its own repeats. `baseline` names the setting that the others are compared with, and
    `reference` knows published figures to set beside ours. Raises UserError for folders without a finished run, a
    broken file, or runs of a setting that are no repeats.
    """
    output = output or workdirs[0]
    if output == workdirs[0] and len(workdirs) == 1 and is_run(output) and has_repeats(output):
        output = output / "repeats"
    if is_run(output):
        raise UserError(f"{output} is the folder of a run, which has its own report: say --output DIR for this one")
    study = load_study(workdirs, baseline, reference)
    output.mkdir(parents=True, exist_ok=True)
    drawings = draw_study(study, output)
    return EvaluatedStudy(study, write_study(study, drawings, output), output / FIGURES_FOLDER)
