import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from ferjax.data.datasets.fer2013 import EMOTIONS
from ferjax.errors import UserError
from ferjax.report import (
    create_report,
    format_table,
    read_predictions,
    read_report,
    write_predictions,
    write_report,
)


def test_json_markdown_and_csv_agree(tmp_path, answers):
    report = create_report(*answers, "validation")
    write_report(tmp_path, report)
    assert json.loads((tmp_path / "report.json").read_text()) == report == read_report(tmp_path / "report.json")
    with (tmp_path / "report.csv").open() as file:
        lines = {line["class"]: line for line in csv.DictReader(file)}
    assert list(lines) == [*EMOTIONS, "macro", "weighted", "all"]
    assert float(lines["fear"]["recall"]) == report["per_class"]["fear"]["recall"]
    assert float(lines["macro"]["f1"]) == report["macro_f1"]
    assert float(lines["all"]["accuracy"]) == report["accuracy"]
    assert float(lines["all"]["loss"]) == report["loss"]
    markdown = (tmp_path / "report.md").read_text()
    assert f"# Report: validation split, {report['n']} images" in markdown
    assert f"| macro | {report['macro_precision']:.2%} |" in markdown
    row = report["confusion"][3]
    assert "| happy | " + " | ".join(f"**{n}**" if j == 3 else str(n) for j, n in enumerate(row)) + " |" in markdown


def test_a_failed_write_keeps_the_old_report(tmp_path, answers, monkeypatch):
    report = create_report(*answers, "test")
    write_report(tmp_path, report)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(tmp_path, report | {"split": "other"})
    assert read_report(tmp_path / "report.json")["split"] == "test"


def test_read_report_says_how_to_make_it(tmp_path):
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(UserError, match=r"report\.json cannot be read .*ferjax\.evaluate --workdir"):
        read_report(tmp_path / "report.json")


def test_table_gives_the_accuracy_with_its_standard_error(answers):
    report = create_report(*answers, "test") | {"accuracy": 0.7, "n": 3589}
    lines = format_table(report).splitlines()
    assert lines[0] == "test split, 3,589 images"
    assert "accuracy  70.0% ± 0.8% (standard error)" in lines
    assert lines[-1] == f"macro F1  {report['macro_f1']:.1%}"
    table = lines[2:-3]
    assert [line.split()[0] for line in table[1:]] == [*EMOTIONS, "macro", "weighted"]
    assert len({len(line) for line in table}) == 1


FERPLUS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")


def test_other_classes_come_back_from_the_header(tmp_path):
    path = tmp_path / "predictions.csv"
    rng = np.random.default_rng(0)
    labels, probabilities = np.arange(16) % 8, rng.dirichlet(np.ones(8), 16).astype(np.float32)
    write_predictions(
        path, row=np.arange(16), split="test", labels=labels, probabilities=probabilities, classes=FERPLUS
    )
    predictions = read_predictions(path)
    assert predictions.classes == FERPLUS
    np.testing.assert_array_equal(predictions.labels, labels)
    assert predictions.probabilities.tobytes() == probabilities.tobytes()
    report = create_report(labels, probabilities, "test", classes=predictions.classes)
    assert list(report["per_class"]) == list(FERPLUS)
    assert np.array(report["confusion"]).shape == (8, 8)
    lines = format_table(report).splitlines()
    assert [line.split()[0] for line in lines[3:13]] == [*FERPLUS, "macro", "weighted"]
    assert len({len(line) for line in lines[2:13]}) == 1
    write_report(tmp_path, report)
    assert "| true \\\\ predicted | neutral | happiness |" in (tmp_path / "report.md").read_text()


def test_scores_without_copies_are_those_of_the_other_images(answers, tmp_path):
    labels, probabilities = answers
    copied = np.arange(60) < 25
    report = create_report(labels, probabilities, "test", copied=copied)
    rest = create_report(labels[25:], probabilities[25:], "test")
    assert report["without_copies"] == {"n": 35, "accuracy": rest["accuracy"], "macro_f1": rest["macro_f1"]}
    assert report["accuracy"] == create_report(labels, probabilities, "test")["accuracy"]
    said = (
        f"without the 25 images that training holds a copy of: {rest['accuracy']:.1%}, macro F1 {rest['macro_f1']:.1%}"
    )
    assert f"accuracy {said}" in format_table(report)
    write_report(tmp_path, report)
    assert f"Accuracy {said}." in (tmp_path / "report.md").read_text()
    assert read_report(tmp_path / "report.json")["without_copies"] == report["without_copies"]


@pytest.mark.parametrize("copied", [None, np.zeros(60, bool), np.ones(60, bool)])
def test_where_copies_change_nothing_nothing_is_said(answers, copied):
    report = create_report(*answers, "test", copied=copied)
    assert "copy" not in format_table(report)
    expected = None if copied is None or copied.all() else 60
    assert (report["without_copies"] and report["without_copies"]["n"]) == expected


def test_report_needs_no_matplotlib():
    code = "import sys, ferjax.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
