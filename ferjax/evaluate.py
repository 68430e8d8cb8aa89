"""CLI: a run's saved predictions -> its report, its figures and a table on the terminal.

    python -m ferjax.evaluate --workdir workdir/NAME

Needs neither the data set nor the network: everything comes from the files that training left in the workdir.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from ferjax.errors import UserError
from ferjax.figures import FIGURES, draw_all
from ferjax.report import create_report, format_table, read_predictions, write_report


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0, or 1 after a mistake that the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m ferjax.evaluate", description="Report on a finished run.")
    parser.add_argument("--workdir", type=pathlib.Path, required=True, metavar="DIR", help="the folder of the run")
    workdir: pathlib.Path = parser.parse_args(argv).workdir
    try:
        evaluate(workdir)
    except UserError as error:
        print(f"ferjax: {error}", file=sys.stderr)
        return 1
    return 0


def evaluate(workdir: pathlib.Path) -> None:
    """Rewrites the report and the figures of a workdir and prints what they say and where they are.

    Raises UserError for a workdir without predictions or with a broken file.
    """
    if not workdir.is_dir():
        raise UserError(f"{workdir} is not a folder; train into it with 'python -m ferjax.main --workdir {workdir}'")
    predictions = read_predictions(workdir / "predictions.csv")
    report = create_report(predictions.labels, predictions.probabilities, predictions.split)
    write_report(workdir, report)
    figures = draw_all(workdir)
    print(format_table(report))
    print(f"\nreport   {', '.join(str(workdir / f'report.{kind}') for kind in ('md', 'json', 'csv'))}")
    for path in figures:
        print(f"figure   {path}")
    for name, (sources, _) in FIGURES.items():
        if workdir / "figures" / name not in figures:
            print(f"no figure {name}: {workdir} lacks {' or '.join(sources)}")


if __name__ == "__main__":
    sys.exit(main())
