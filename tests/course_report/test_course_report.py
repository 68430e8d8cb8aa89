import numpy as np
import pytest
from written_runs import edit_json, write_run

from ferjax.course_report import CourseReport, published
from ferjax.report import write_predictions
from ferjax.study.sentences import describe_basis
from ferjax.study.settings import load_setting
from ferjax.study.study import load_study

REPORT = CourseReport()


def load_first(folder):
    return load_setting(folder.name, sorted(folder.iterdir()))


def test_figures_are_those_of_the_report_where_it_has_them(tmp_path):
    for name in ("optimal", "focal_gamma2", "focal_gamma5"):
        write_run(tmp_path / name / "seed_0", 0, config=name)
    write_run(tmp_path / "mine" / "seed_0", 0)
    optimal = load_first(tmp_path / "optimal")
    assert REPORT.look_up(optimal, "accuracy", "")["mean"] == 0.6932
    # The report prints this maximum so that it cannot be read.
    precision = REPORT.look_up(optimal, "precision", "disgust")
    assert "max" not in precision
    assert precision["mean"] == 0.78948
    assert REPORT.look_up(optimal, "macro_f1", "") == {}
    assert REPORT.look_up(load_first(tmp_path / "focal_gamma2"), "accuracy", "") == {"mean": 0.687, "std": 0.01}
    gamma5 = load_first(tmp_path / "focal_gamma5")
    assert REPORT.look_up(gamma5, "f1", "surprise") == {"mean": 0.75678}
    assert REPORT.look_up(gamma5, "f1", "happy") == {}
    assert REPORT.look_up(load_first(tmp_path / "mine"), "accuracy", "") == {}


@pytest.mark.parametrize(
    "name", ["optimal", "no_augmentation", "no_normalization", "focal_gamma2", "focal_gamma5", "random_init"]
)
def test_departures_from_the_report_are_said(tmp_path, name):
    start = "none" if name == "random_init" else "keras"
    same = {"model.pretrained": start}
    write_run(tmp_path / name / "seed_0", 0, config=name, changes=same)
    setting = load_first(tmp_path / name)
    assert published.get_name(setting) == name
    assert REPORT.find_departures(setting) == []
    assert describe_basis(setting).endswith(", one seed, data faces.csv, 35,887 rows")
    other = {
        "model.name": "compact",
        "train.epochs": 2,
        "train.steps": 9,
        "data.split": "official",
        "model.pretrained": "none",
    }
    write_run(tmp_path / name / "seed_0", 0, config=name, changes=same | other, split="validation")
    said = "; ".join(REPORT.find_departures(load_first(tmp_path / name)))
    assert 'model.name: "vgg19" -> "compact"' in said
    assert "train.epochs: " in said
    assert "a stop after 9 steps" in said
    assert 'data.split: "stratified" -> "official"' in said
    assert "the validation split instead of the test split" in said
    assert ("random weights instead of ImageNet's" in said) == (name != "random_init")
    basis = describe_basis(load_first(tmp_path / name))
    assert basis.startswith(
        "model compact, validation split (official), at most 2 epochs and 9 steps, start from random"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"counts": {"train": [32_000], "test": [298]}}, "32,298 of FER-2013's 35,887 rows (faces.csv)"),
        (
            {"counts": {"train": [35_885]}, "skipped": ["row 1", "row 2"]},
            "35,885 of FER-2013's 35,887 rows (faces.csv, 2 bad ones left out)",
        ),
    ],
)
def test_other_data_than_all_of_fer2013_is_a_departure(tmp_path, changes, said):
    run = write_run(tmp_path / "optimal" / "seed_0", 0, changes={"model.pretrained": "keras"})
    edit_json(run / "data.json", **changes)
    (summary,) = load_study([tmp_path], reference=REPORT).summaries
    assert summary.departures == (said,)


@pytest.mark.parametrize(
    ("facts", "changes"),
    [
        ({"path": "synthetic", "counts": {"train": [4_000]}}, {}),
        ({"counts": {"train": [40_000]}}, {}),
        ({"counts": {"train": [4_000]}}, {}),  # own images in a csv, under the name that data have by default
        ({}, {"data.name": "folder"}),  # own images, with classes of the same names
    ],
)
def test_data_that_are_not_fer2013_have_no_reference(tmp_path, facts, changes):
    run = write_run(tmp_path / "optimal" / "seed_0", 0, changes=changes)
    edit_json(run / "data.json", **facts)
    (summary,) = load_study([tmp_path], reference=REPORT).summaries
    assert not any(score.reference for score in summary.scores)
    assert summary.departures == ()


def test_a_pretrained_random_start_is_a_departure(tmp_path):
    write_run(tmp_path / "random_init" / "seed_0", 0, config="random_init", changes={"model.pretrained": "keras"})
    (summary,) = load_study([tmp_path], reference=REPORT).summaries
    assert summary.departures == ("a start from pretrained weights instead of random ones",)


def test_classes_of_another_labelling_have_no_reference(tmp_path):
    run = write_run(tmp_path / "optimal" / "seed_0", 0)
    classes = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
    write_predictions(
        run / "predictions.csv",
        row=np.arange(8),
        split="test",
        labels=np.arange(8),
        probabilities=np.eye(8),
        classes=classes,
    )
    (summary,) = load_study([tmp_path], reference=REPORT).summaries
    assert not any(score.reference for score in summary.scores)
    assert summary.get("f1", "contempt").values.tolist() == [1]
    assert summary.departures == ()
