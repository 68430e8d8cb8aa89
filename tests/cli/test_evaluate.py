import json
import shutil

import numpy as np
import pytest

from ferjax.cli.evaluate import main
from ferjax.report import write_predictions


@pytest.fixture
def workdir(tmp_path):
    labels = np.arange(14) % 7
    write_predictions(
        tmp_path / "predictions.csv",
        row=np.arange(14),
        split="validation",
        labels=labels,
        probabilities=np.eye(7)[np.where(np.arange(14) < 3, 3, labels)],
    )
    return tmp_path


def test_predictions_alone_give_report_figures_and_table(workdir, capsys):
    assert main(["--workdir", str(workdir)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "accuracy  78.6% ± 11.0% (standard error)" in out
    assert json.loads((workdir / "report.json").read_text())["accuracy"] == 11 / 14
    assert f"figure   {workdir / 'figures' / 'confusion.png'}" in out
    assert (workdir / "figures" / "confusion.png").exists()
    assert f"no figure curves.png: {workdir} lacks metrics.jsonl" in out


def test_a_stale_report_is_rewritten(workdir):
    (workdir / "report.json").write_text("{}")
    assert main(["--workdir", str(workdir)]) == 0
    assert json.loads((workdir / "report.json").read_text())["n"] == 14


def test_images_that_training_holds_too_are_left_out_beside(workdir, capsys):
    # The three first, two of which are wrong: row 0 is not in data.json's list of validation.
    data = {"copies": {"validation": [1, 2, 99], "test": [0]}, "counts": {"validation": [2] * 7}}
    (workdir / "data.json").write_text(json.dumps(data))
    assert main(["--workdir", str(workdir)]) == 0
    rest = json.loads((workdir / "report.json").read_text())["without_copies"]
    assert (rest["n"], rest["accuracy"]) == (12, 11 / 12)
    assert "accuracy without the 2 images that training holds a copy of: 91.7%" in capsys.readouterr().out


def test_other_classes_are_taken_from_the_predictions(workdir, capsys):
    classes = tuple("abcdefgh")
    write_predictions(
        workdir / "predictions.csv",
        row=np.arange(8),
        split="test",
        labels=np.arange(8),
        probabilities=np.eye(8),
        classes=classes,
    )
    (workdir / "data.json").write_text(json.dumps({"classes": classes, "counts": {"train": [3] * 8, "test": [1] * 8}}))
    assert main(["--workdir", str(workdir)]) == 0
    assert list(json.loads((workdir / "report.json").read_text())["per_class"]) == list(classes)
    assert "class_distribution.png" in capsys.readouterr().out


@pytest.mark.parametrize("folder_exists", [True, False])
def test_without_predictions_the_training_command_is_said(workdir, capsys, folder_exists):
    (workdir / "predictions.csv").unlink()
    if not folder_exists:
        shutil.rmtree(workdir)
    assert main(["--workdir", str(workdir)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"ferjax: {workdir}")
    assert f"'python -m ferjax.main --workdir {workdir}'" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("argv", [[], ["--workdir"], ["--workdir", "x", "--nonsense"]])
def test_wrong_flags_exit_2(argv, capsys):
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("ferjax: ")
    assert error.count("\n") == 1
