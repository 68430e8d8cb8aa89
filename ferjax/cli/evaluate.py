"""Reports on finished runs: `python -m ferjax.evaluate --workdir DIR [DIR ...]`.

    python -m ferjax.evaluate --workdir workdir/NAME             a run
    python -m ferjax.evaluate --workdir workdir/optimal          a setting: its folders seed_<n> are runs, a seed each
    python -m ferjax.evaluate --workdir workdir                  a study: its folders are settings, or runs of one seed
    python -m ferjax.evaluate --workdir A B C --output DIR       any of these side by side

A run that holds its repeats too gets both reports, the one on the repeats in its folder 'repeats'. Neither the data
set nor the network is needed: everything comes from the files that training left in the workdirs.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from ferjax import study
from ferjax.course_report import CourseReport
from ferjax.errors import UserError
from ferjax.files import PREDICTIONS_FILE
from ferjax.report import format_table


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, or 1 after a mistake that the user can mend."""
    arguments = _create_parser().parse_args(argv)
    try:
        _evaluate(arguments.workdir, arguments.output, arguments.baseline)
    except UserError as error:
        print(f"ferjax: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"ferjax: {error.filename or arguments.workdir[0]}: {error.strerror or error}; mend that and run this "
            "again",
            file=sys.stderr,
        )
        return 1
    return 0


def _create_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ferjax.evaluate",
        description="Report on finished runs: one, repeated ones, or settings of them.",
    )
    parser.add_argument(
        "--workdir",
        type=pathlib.Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="folders of runs, of settings (SETTING/seed_<n>) or of studies (STUDY/SETTING or STUDY/SETTING/seed_<n>)",
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        metavar="DIR",
        help="where a setting's or study's report goes; the first --workdir, or 'repeats' in a run that holds its own",
    )
    parser.add_argument(
        "--baseline", metavar="NAME", help="the setting that the others are compared with; 'optimal' where there is one"
    )
    return parser


def _evaluate(workdirs: Sequence[pathlib.Path], output: pathlib.Path | None, baseline: str | None) -> None:
    """Evaluate a run, or a study, or both where the folder of a run holds its repeats too."""
    first = workdirs[0]
    is_plain_run = len(workdirs) == 1 and output is None and baseline is None and study.is_run(first)
    repeated = study.has_repeats(first)
    if is_plain_run and (not repeated or (first / PREDICTIONS_FILE).exists()):
        evaluate(first)
    if not is_plain_run or repeated:
        evaluate_study(workdirs, output, baseline)


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
    evaluated = study.evaluate_study(workdirs, output, baseline, CourseReport())
    for group in evaluated.study.groups:
        print(f"{study.format_group(group)}\n")
    for note in evaluated.study.notes:
        print(f"note     {note}")
    print(f"report   {', '.join(map(str, evaluated.files))}")
    print(f"figures  {evaluated.figures}")
