"""The files that a study is written to."""

import json
import pathlib

from ferjax.files import write_text
from ferjax.study.all_numbers import collect_numbers, write_csv
from ferjax.study.documents import write_html, write_latex, write_markdown
from ferjax.study.drawing import Drawings
from ferjax.study.study import Study


def write_study(study: Study, drawings: Drawings, output: pathlib.Path) -> list[pathlib.Path]:
    """Write report.md, .csv, .json, .tex and .html into a folder, each whole or not at all, and return their paths."""
    texts = {
        "report.md": write_markdown(study, drawings, output),
        "report.csv": write_csv(study),
        "report.json": json.dumps(collect_numbers(study), indent=1, allow_nan=False) + "\n",
        "report.tex": write_latex(study),
        "report.html": write_html(study, drawings),
    }
    for name, text in texts.items():
        write_text(output / name, text)
    return [output / name for name in texts]
