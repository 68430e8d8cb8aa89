import json
import re
import shutil

from written_runs import write_run

from ferjax.cli.evaluate import main
from ferjax.study.drawing import Drawings

NO_FIGURES = {"optimal": [], "compact": []}


def test_output_goes_where_it_is_told(setting, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ferjax.study.evaluation.draw_study", lambda *_: Drawings({"test": []}, [], {"optimal": []}))
    output = tmp_path / "new" / "place"
    assert main(["--workdir", str(setting), "--output", str(output)]) == 0
    assert {path.name for path in output.iterdir()} == {
        "report.md", "report.csv", "report.json", "report.tex", "report.html",
    }  # fmt: skip
    assert not (setting / "report.json").exists()
    assert "baseline optimal" in capsys.readouterr().out


def test_a_run_beside_its_repeats_has_a_report_and_they_have_one(setting, capsys, monkeypatch):
    monkeypatch.setattr("ferjax.study.evaluation.draw_study", lambda *_: Drawings({"test": []}, [], {"optimal": []}))
    monkeypatch.setattr("ferjax.study.evaluation.draw_all", lambda _: [])
    write_run(setting, 7, wrong=21)
    assert main(["--workdir", str(setting)]) == 0
    assert json.loads((setting / "report.json").read_text())["accuracy"] == 0.5
    (group,) = json.loads((setting / "repeats" / "report.json").read_text())["groups"]
    assert list(group["settings"]["optimal"]["scores"]["accuracy"]["seeds"]) == ["0", "1", "2"]
    out = capsys.readouterr().out
    assert str(setting / "report.md") in out
    assert str(setting / "repeats" / "report.md") in out
    assert f"note     {setting}: the run in this folder itself is left out" in out
    # What was written there is no run: the next time finds the same.
    assert main(["--workdir", str(setting), "--output", str(setting.parent / "other")]) == 0
    assert "optimal" in capsys.readouterr().out


def test_lone_runs_are_set_side_by_side(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ferjax.study.evaluation.draw_study", lambda *_: Drawings({"test": []}, [], NO_FIGURES))
    write_run(tmp_path / "optimal", 0)
    write_run(tmp_path / "compact", 0, changes={"model.name": "compact"})
    assert main(["--workdir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "baseline optimal (the default)" in out
    assert re.search(r"^compact +1 ", out, re.MULTILINE)


def fail(capsys, *arguments):
    assert main(list(map(str, arguments))) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ferjax: ")
    assert err.count("\n") == 1
    return err


def test_a_runs_own_report_is_not_overwritten(setting, capsys):
    run = setting / "seed_0"
    for arguments in ((run, setting / "seed_1"), (setting, "--output", run)):
        assert f"{run} is the folder of a run" in fail(capsys, "--workdir", *arguments)
    assert not (run / "report.json").exists()


def test_mistakes_are_one_sentence(setting, tmp_path, capsys):
    assert "--baseline=best is not one setting" in fail(capsys, "--workdir", setting, "--baseline", "best")
    (tmp_path / "file").write_text("")
    assert f"{tmp_path / 'file'}" in fail(capsys, "--workdir", setting, "--output", tmp_path / "file")
    write_run(setting / "seed_7", 2)
    assert "same train.seed, 2" in fail(capsys, "--workdir", setting)
    shutil.rmtree(setting)
    assert "is not a folder" in fail(capsys, "--workdir", setting)
    assert "is not a folder" in fail(capsys, "--workdir", setting, tmp_path)
