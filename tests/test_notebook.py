"""The notebook of examples/ does what it says: its code cells, in order, in a fresh process and without Jupyter."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "first_steps.ipynb"


def read_cells():
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


def test_its_outputs_are_cleared():
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in read_cells())


@pytest.mark.slow
def test_its_cells_run_in_order_and_print_what_they_should(tmp_path):
    program = tmp_path / "cells.py"
    program.write_text("\n\n".join("".join(cell["source"]) for cell in read_cells()))
    # One device, as a reader of the notebook has; conftest.py's other flags make compiling fast.
    flags = " ".join(flag for flag in os.environ["XLA_FLAGS"].split() if "device_count" not in flag)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "XLA_FLAGS": flags}
    ended = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout
    assert "quickstart" in said.splitlines()[0]
    assert float(re.search(r"^test split: accuracy ([\d.]+)%, macro F1 [\d.]+%$", said, re.MULTILINE)[1]) > 30
    # The table of the curves has a line for each of the five epochs.
    assert len(re.findall(r"^[1-5](?:\.0)?(?: +[\d.]+){4}$", said, re.MULTILINE)) == 5
    assert len(re.findall(r"^ *\w+ was answered with \w+ +\(\d+%\)$", said, re.MULTILINE)) == 5
    assert len(re.findall(r"^validation split, views (?:none|mirror): accuracy [\d.]+%$", said, re.MULTILINE)) == 2
    assert said.splitlines()[-1] == "the same answers: True"
    assert (tmp_path / "workdir" / "first_steps" / "network.safetensors").is_file()
