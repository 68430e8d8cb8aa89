import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import sklearn.metrics

from ferjax.data.datasets.fer2013 import EMOTIONS
from ferjax.errors import UserError
from ferjax.report import (
    COLUMNS,
    choose_worst,
    create_report,
    format_table,
    read_predictions,
    read_report,
    write_predictions,
    write_report,
)


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 60).astype(np.int32)
    logits = rng.normal(size=(60, 7)) + 2 * np.eye(7)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, probabilities.astype(np.float32)


@pytest.fixture
def path(tmp_path, answers):
    labels, probabilities = answers
    path = tmp_path / "predictions.csv"
    write_predictions(path, row=np.arange(100, 160), split="test", labels=labels, probabilities=probabilities)
    return path


def test_predictions_come_back_bit_for_bit(path, answers):
    labels, probabilities = answers
    predictions = read_predictions(path)
    assert predictions.probabilities.tobytes() == probabilities.tobytes()
    np.testing.assert_array_equal(predictions.labels, labels)
    np.testing.assert_array_equal(predictions.row, np.arange(100, 160))
    assert predictions.split == "test"
    with path.open() as file:
        first = next(csv.DictReader(file))
    assert first["emotion"] == EMOTIONS[labels[0]]
    assert first["predicted"] == EMOTIONS[probabilities[0].argmax()]
    assert tuple(first) == COLUMNS


def edit_line(path, number, column, value):
    lines = path.read_text().splitlines()
    fields = lines[number - 1].split(",")
    fields[COLUMNS.index(column)] = value
    lines[number - 1] = ",".join(fields)
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("row", "-1", "row is '-1'"),
        ("split", "train", "split is 'train' after 'test'"),
        ("emotion", "bored", "emotion is 'bored', not one of angry"),
        ("predicted", "bored", "predicted is 'bored', but"),
        ("p_fear", "x", "not a number"),
        ("p_fear", "nan", "sum to 1"),
        ("p_fear", "0.9999", "sum to 1"),
        ("p_fear", "0.1,0.1", "12 fields instead of 11"),
    ],
)
def test_a_broken_line_is_named(path, column, value, message):
    edit_line(path, 5, column, value)
    with pytest.raises(UserError) as error:
        read_predictions(path)
    assert f"{path}, line 5: " in str(error.value)
    assert message in str(error.value)
    assert f"python -m ferjax.main --workdir {path.parent}" in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("", "line 1 is not the header"),
        ("row,split\n", "line 1 is not the header"),
        (",".join(COLUMNS) + "\n", "holds no predictions"),
        (b"\xff\xfe", "cannot be read"),
        (",".join(COLUMNS) + "\n\n", "line 2: 0 fields"),
    ],
)
def test_a_file_that_is_not_predictions_is_named(tmp_path, content, message):
    path = tmp_path / "predictions.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message):
        read_predictions(path)


def test_report_equals_scikit_learn(answers):
    labels, probabilities = answers
    predicted = probabilities.argmax(axis=1)
    report = create_report(labels, probabilities, "test")
    expected = sklearn.metrics.classification_report(
        labels, predicted, labels=range(7), target_names=EMOTIONS, output_dict=True, zero_division=0
    )
    for emotion in EMOTIONS:
        want = {key.replace("f1-score", "f1"): value for key, value in expected[emotion].items()}
        assert report["per_class"][emotion] == pytest.approx(want, abs=1e-12)
    for average in ("macro", "weighted"):
        for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            assert report[f"{average}_{ours}"] == pytest.approx(expected[f"{average} avg"][theirs], abs=1e-12)
    assert report["accuracy"] == pytest.approx((labels == predicted).mean(), abs=1e-12)
    assert report["confusion"] == sklearn.metrics.confusion_matrix(labels, predicted, labels=range(7)).tolist()
    assert report["loss"] == pytest.approx(sklearn.metrics.log_loss(labels, probabilities, labels=range(7)), rel=1e-6)
    assert (report["split"], report["n"]) == ("test", 60)


def test_a_certain_mistake_keeps_the_loss_finite():
    report = create_report(np.array([0]), np.eye(7)[[3]], "test")
    assert report["loss"] == pytest.approx(-np.log(np.finfo(np.float32).tiny))


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


def test_worst_mistakes_are_the_most_confident_ones():
    probabilities = np.full((5, 7), 0.01)
    probabilities[np.arange(5), [0, 1, 2, 3, 4]] = [0.99, 0.6, 0.9, 0.7, 0.9]
    labels = np.array([0, 0, 0, 0, 0])
    assert choose_worst(labels, probabilities).tolist() == [2, 4, 3, 1]
    assert choose_worst(labels, probabilities, k=2).tolist() == [2, 4]
    assert choose_worst(np.arange(5), probabilities).tolist() == []
    equal = np.tile([0.9, 0.1, 0, 0, 0, 0, 0], (500, 1))
    assert choose_worst(np.arange(500) % 2, equal).tolist() == list(range(1, 73, 2))


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


@pytest.mark.parametrize(
    "header",
    ["row,split,emotion,predicted", "row,split,emotion,predicted,p_sad", "row,split,emotion,predicted,p_sad,p_sad",
     "row,split,emotion,predicted,p_sad,happy"],
)  # fmt: skip
def test_a_header_without_classes_is_named(tmp_path, header):
    (tmp_path / "predictions.csv").write_text(f"{header}\n0,test,sad,sad,1,0\n")
    with pytest.raises(UserError, match=r"line 1 is not the header .*'p_<class>' for each class"):
        read_predictions(tmp_path / "predictions.csv")


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
