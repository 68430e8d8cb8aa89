import json
import shutil

import numpy as np
import pytest

from ferjax.evaluate import main
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
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert "usage: python -m ferjax.evaluate" in capsys.readouterr().err
