"""Report on finished runs: one, repeated ones, or settings of them; or score a run on other images.

    ferjax evaluate --workdir workdir/NAME             a run
    ferjax evaluate --workdir workdir/optimal          a setting: its folders seed_<n> are runs, a seed each
    ferjax evaluate --workdir workdir                  a study: its folders are settings, or runs of one seed
    ferjax evaluate --workdir A B C --output DIR       any of these side by side

A run that holds its repeats too gets both reports, the one on the repeats in its folder 'repeats'. Neither the data
set nor the network is needed: everything comes from the files that training left in the workdirs.

    ferjax evaluate --workdir workdir/NAME --data.path=OTHER [--split test] [--views mirror]

scores the network of a finished run on another file, folder, labelling or split; --data.KEY are the config's keys of
the group data, and what is not said is as in the run.

    ferjax evaluate --ensemble A B C [--data.path=OTHER] [--split test] [--views mirror]

has the networks of several finished runs answer together: means of their probabilities, beside each network alone.
`python -m ferjax.evaluate` is the same.
"""

import argparse
import pathlib
from collections.abc import Sequence

from ferjax import ensemble, evaluation, runtime, study
from ferjax.cli import endings
from ferjax.cli.flags import FlagMistake, Parser, file_path
from ferjax.course_report import CourseReport
from ferjax.report import format_table
from ferjax.views import VIEWS
from ferjax.workdir import PREDICTIONS_FILE


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the flags, evaluate, print; return the exit code."""
    return endings.run(_create_parser(), arguments, _evaluate, folder=_choose_folder)


def _choose_folder(found: argparse.Namespace) -> pathlib.Path:
    first: pathlib.Path = found.output or (found.workdir or found.ensemble)[0]
    return first


def _create_parser() -> Parser:
    parser = Parser("ferjax evaluate", __doc__, takes_data=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--ensemble",
        type=file_path,
        nargs="+",
        metavar="RUN",
        help="folders of runs, or files of networks, that answer together",
    )
    what.add_argument(
        "--workdir",
        type=file_path,
        nargs="+",
        metavar="DIR",
        help="folders of runs, of settings (SETTING/seed_<n>) or of studies (STUDY/SETTING or STUDY/SETTING/seed_<n>)",
    )
    parser.add_argument(
        "--output",
        type=file_path,
        metavar="DIR",
        help="where a setting's or study's report goes; the first --workdir, or 'repeats' in a run that holds its own; "
        "of a run on other images, its folder 'other_data'; of an ensemble, the folder 'ensemble' where you are",
    )
    parser.add_argument(
        "--baseline", metavar="NAME", help="the setting that the others are compared with; 'optimal' where there is one"
    )
    parser.add_argument(
        "--split", choices=evaluation.SPLITS, help="score the run on this split of the data; auto by default"
    )
    parser.add_argument("--views", choices=list(VIEWS), help="what to average over; the run's eval.views by default")
    return parser


def _evaluate(found: argparse.Namespace) -> None:
    """Score a run on other images; or evaluate a run, or a study, or both where a run's folder holds its repeats."""
    if found.ensemble:
        _score_together(found)
        return
    workdirs, output, baseline = found.workdir, found.output, found.baseline
    if found.data or found.split or found.views:
        if len(workdirs) > 1 or baseline:
            raise FlagMistake("--data.path, --split and --views are for one run: name it alone as --workdir.")
        _score_elsewhere(found)
        return
    first = workdirs[0]
    is_plain_run = len(workdirs) == 1 and output is None and baseline is None and study.is_run(first)
    repeated = study.has_repeats(first)
    if is_plain_run and (not repeated or (first / PREDICTIONS_FILE).exists()):
        evaluate(first)
    if not is_plain_run or repeated:
        evaluate_study(workdirs, output, baseline)


def _score_elsewhere(found: argparse.Namespace) -> None:
    """Score the network of a run on other images, and print its scores and where the files are."""
    runtime.find_devices()
    folder = found.output or found.workdir[0] / "other_data"
    scored = evaluation.evaluate(found.workdir[0], found.data, split=found.split or "auto", views=found.views)
    scored.write(folder)
    for note in scored.notes:
        print(f"note     {note}")
    print(format_table(scored.report))
    print(f"\nreport   {folder}")


def _score_together(found: argparse.Namespace) -> None:
    """Score an ensemble, and print its table and where the files are."""
    if found.baseline:
        raise FlagMistake("--baseline is for settings: leave it out with --ensemble.")
    folder = found.output or pathlib.Path("ensemble")
    together = ensemble.create_ensemble(found.ensemble, found.data, split=found.split or "auto", views=found.views)
    together.write(folder)
    print(together.describe())
    print(f"\nreport   {folder}")


def evaluate(workdir: pathlib.Path) -> None:
    """Evaluate a run, and print its scores and where the files are. Raises UserError as study.evaluate_run does."""
    evaluated = study.evaluate_run(workdir)
    print(format_table(evaluated.report))
    print(f"\nreport   {', '.join(map(str, evaluated.files))}")
    for path in evaluated.figures:
        print(f"figure   {path}")
    for name, sources in evaluated.missing.items():
        print(f"no figure {name}: {workdir} lacks {' or '.join(sources)}")


def evaluate_seeds(workdir: pathlib.Path, seeds: Sequence[int]) -> None:
    """Evaluate the run of each seed in `workdir`, and where there are several, all of them together."""
    for seed in seeds:
        print(f"seed {seed}")
        evaluate(workdir / f"seed_{seed}")
        print()
    if len(seeds) > 1:
        evaluate_study([workdir], None, None)


def evaluate_study(workdirs: Sequence[pathlib.Path], output: pathlib.Path | None, baseline: str | None) -> None:
    """Evaluate a study beside the course report, and print its tables and where the files are.

    Raises UserError as study.evaluate_study does.
    """
    with runtime.collect_only_new():
        evaluated = study.evaluate_study(workdirs, output, baseline, CourseReport())
    for group in evaluated.study.groups:
        print(f"{study.format_group(group)}\n")
    for note in evaluated.study.notes:
        print(f"note     {note}")
    print(f"report   {', '.join(map(str, evaluated.files))}")
    print(f"figures  {evaluated.figures}")
