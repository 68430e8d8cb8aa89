"""A study beside figures that somebody else published, and beside none."""

import json

from written_runs import write_run

from ferjax.course_report import CourseReport
from ferjax.study import Reference, evaluate_study, load_study


class Paper:
    """Publishes the accuracy of one setting."""

    title = "paper"
    note = "paper: its figures."
    baseline = "small"
    families = {"s": "sizes"}  # noqa: RUF012

    def look_up(self, setting, metric, class_name):
        return {"mean": 0.5, "std": 0.25} if (setting.name, metric) == ("small", "accuracy") else {}

    def find_departures(self, setting):
        return ["fewer images"] if setting.name == "small" else []


def write_two(root):
    write_run(root / "large" / "seed_0", 0, changes={"model.dropout": 0.5})
    write_run(root / "small" / "seed_0", 0)


def test_any_publication_can_be_the_reference(tmp_path):
    assert isinstance(CourseReport(), Reference)
    write_two(tmp_path)
    evaluated = evaluate_study([tmp_path], reference=Paper())
    (group,) = evaluated.study.groups
    assert (group.baseline.name, group.reason) == ("small", "the default")
    assert "small: not measured as the paper's (fewer images)" in evaluated.study.notes
    assert [path.name for path in evaluated.figures.iterdir() if path.name.startswith("curves_")] == ["curves_test.png"]
    text = (tmp_path / "report.md").read_text()
    assert "| setting | seeds | accuracy | paper |" in text
    assert "| small | 1 | 76.19 | 50.00 ± 25.00 |" in text
    assert "paper: its figures." in text
    assert "the mean with its 95% t interval, the paper's." in text
    assert "report:" not in text


def test_without_a_reference_nothing_of_one_is_said(tmp_path):
    write_two(tmp_path)
    (group,) = load_study([tmp_path]).groups
    assert (group.baseline.name, group.reason) == ("large", "the first setting")
    evaluate_study([tmp_path])
    settings = json.loads((tmp_path / "report.json").read_text())["groups"][0]["settings"]
    assert settings["small"]["scores"]["accuracy"]["reference"] is None
    assert settings["small"]["departures_from_report"] == []
    text = (tmp_path / "report.md").read_text()
    assert "the mean with its 95% t interval." in text
    assert "Not measured as" not in text
