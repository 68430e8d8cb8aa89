"""CLI: saved predictions -> reports, figures and a table on the terminal.

    python -m ferjax.evaluate --workdir workdir/NAME             a run
    python -m ferjax.evaluate --workdir workdir/optimal          a setting: its folders seed_<n> are runs, a seed each
    python -m ferjax.evaluate --workdir workdir                  a study: its folders are settings, or runs of one seed
    python -m ferjax.evaluate --workdir A B C --output DIR       any of these side by side

A run that holds its repeats too has both reports, the one on the repeats in its folder 'repeats'. Needs neither
the data set nor the network: everything comes from the files that training left in the workdirs.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from ferjax import study
from ferjax.errors import UserError
from ferjax.figures import FIGURES, draw_all
from ferjax.report import create_report, format_table, read_predictions, write_report


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0, or 1 after a mistake that the user can mend."""
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
    arguments = parser.parse_args(argv)
    workdirs, output, baseline = arguments.workdir, arguments.output, arguments.baseline
    try:
        plain = len(workdirs) == 1 and output is None and baseline is None and study.is_run(workdirs[0])
        repeated = study.has_repeats(workdirs[0])
        if plain and (not repeated or (workdirs[0] / "predictions.csv").exists()):
            evaluate(workdirs[0])
        if not plain or repeated:
            evaluate_study(workdirs, output, baseline)
    except UserError as error:
        print(f"ferjax: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"ferjax: {error.filename or workdirs[0]}: {error.strerror or error}; mend that and run this again",
            file=sys.stderr,
        )
        return 1
    return 0


def evaluate(workdir: pathlib.Path) -> None:
    """Rewrites the report and the figures of a workdir and prints what they say and where they are.

    Raises UserError for a workdir without predictions or with a broken file.
    """
    predictions = read_predictions(workdir / "predictions.csv")
    report = create_report(
        predictions.labels,
        predictions.probabilities,
        predictions.split,
        classes=predictions.classes,
        copied=study.mark_copies(workdir / "data.json", predictions.split, predictions.row),
    )
    write_report(workdir, report)
    figures = draw_all(workdir)
    print(format_table(report))
    print(f"\nreport   {', '.join(str(workdir / f'report.{kind}') for kind in ('md', 'json', 'csv'))}")
    for path in figures:
        print(f"figure   {path}")
    for name, (sources, _) in FIGURES.items():
        if workdir / "figures" / name not in figures:
            print(f"no figure {name}: {workdir} lacks {' or '.join(sources)}")


def evaluate_seeds(workdir: pathlib.Path, seeds: Sequence[int]) -> None:
    """Rewrites report and figures of each seed's run in `workdir`, and of all of them together, and prints both."""
    for seed in seeds:
        print(f"seed {seed}")
        evaluate(workdir / f"seed_{seed}")
        print()
    if len(seeds) > 1:
        evaluate_study([workdir], None, None)


def evaluate_study(workdirs: Sequence[pathlib.Path], output: pathlib.Path | None, baseline: str | None) -> None:
    """Writes the report and the figures of repeated runs and prints what they say and where they are.

    Raises UserError for folders without a finished run, a broken file, or runs of a setting that are no repeats.
    """
    output = output or workdirs[0]
    if output == workdirs[0] and len(workdirs) == 1 and study.is_run(output) and study.has_repeats(output):
        output = output / "repeats"
    if study.is_run(output):
        raise UserError(f"{output} is the folder of a run, which has its own report: say --output DIR for this one")
    found = study.load_study(workdirs, baseline)
    output.mkdir(parents=True, exist_ok=True)
    drawings = study.draw_study(found, output)
    paths = study.write_study(found, drawings, output)
    for group in found.groups:
        print(f"{study.format_group(group)}\n")
    for note in found.notes:
        print(f"note     {note}")
    print(f"report   {', '.join(str(path) for path in paths)}")
    print(f"figures  {output / 'figures'}")
