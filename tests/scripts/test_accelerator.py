"""The check of a GPU or TPU, as far as a CPU has it: every stage once and small, and the page of what was found."""

import json
import pathlib
import subprocess
import sys

import pytest

from scripts.accelerator.recorder import Recorder
from scripts.accelerator.stages import STAGES
from scripts.accelerator.summary import summarize

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def recorder(tmp_path):
    return Recorder("speed", tmp_path, tmp_path, 100.0, True, "synthetic")


def test_each_stage_has_its_function():
    for stage in STAGES.values():
        text = (ROOT / "scripts" / "accelerator" / f"{stage.module}.py").read_text()
        assert f"def {stage.function}(recorder: Recorder) -> None:" in text
    assert sum(stage.seconds for stage in STAGES.values()) <= 580


def test_an_error_is_a_line_and_what_follows_goes_on(recorder, tmp_path):
    with recorder.attempt("speed", network="vgg19"):
        raise RuntimeError("out of memory")
    recorder.note("speed", network="compact", images_per_s=1234.5, utilization=None)
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [line.get("error") for line in lines] == ["RuntimeError: out of memory", None]
    page = summarize(tmp_path)
    assert "| compact |" in page
    assert "1234" in page
    assert "## What failed" in page


def test_a_page_of_nothing_says_so(tmp_path):
    assert "No device was reached" in summarize(tmp_path)


def test_a_comparison_that_fails_is_listed(recorder, tmp_path):
    recorder.stage = "numerics"
    recorder.note("batch norm", worst=0.5, bound=1e-5, passed=False)
    assert "## What failed" in summarize(tmp_path)


@pytest.mark.slow
def test_the_whole_check_runs_on_a_cpu(tmp_path):
    command = [sys.executable, "-m", "scripts.accelerator", "--short", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert not [line for line in lines if "error" in line or line.get("passed") is False]
    assert {line["stage"] for line in lines} == set(STAGES)
    killed = next(line for line in lines if line["what"] == "same bits")
    assert killed["kills"] == 1
