import json

import pytest
import scipy.stats
from written_runs import edit_json, write_run

from ferjax.course_report import CourseReport
from ferjax.errors import UserError
from ferjax.report import read_predictions, write_predictions
from ferjax.study.paired_tests import compare_images, compare_macro_f1, correct_holm
from ferjax.study.study import load_study

REPORT = CourseReport()


@pytest.fixture
def root(tmp_path, setting):
    for name, wrong in (("no_augmentation", 20), ("focal_gamma2", 11)):
        for seed in (1, 2, 3):
            write_run(tmp_path / name / f"seed_{seed}", seed, config=name, wrong=wrong + seed)
    return tmp_path


def test_settings_are_compared_with_optimal_over_common_seeds_and_all_images(root):
    (group,) = load_study([root], reference=REPORT).groups
    assert (group.baseline.name, group.reason) == ("optimal", "the default")
    assert [summary.name for summary in group.members] == ["optimal", "focal_gamma2", "no_augmentation"]
    comparison = {c.name: c for c in group.comparisons}["no_augmentation"]
    summaries = {summary.name: summary for summary in group.members}
    ours, theirs = (summaries[name].get("accuracy").values for name in ("no_augmentation", "optimal"))
    # Seeds 1 and 2 are in both.
    assert comparison.seeds.n == 2
    assert comparison.seeds.mean == pytest.approx((ours[:2] - theirs[1:]).mean())
    assert comparison.images.mean == pytest.approx(ours.mean() - theirs.mean())
    expected = compare_images(summaries["no_augmentation"].get_correctness(), summaries["optimal"].get_correctness())
    assert (comparison.images.low, comparison.images.p) == (expected.low, expected.p)
    assert comparison.changes[0].startswith("augment.flip_prob: 0.5 -> 0")
    assert not any("train.seed" in change for change in comparison.changes)


def test_p_values_are_corrected_for_the_comparisons_of_the_group(root):
    (group,) = load_study([root], reference=REPORT).groups
    for kind in ("seeds", "images", "f1_seeds", "f1_images"):
        tests = [getattr(comparison, kind) for comparison in group.comparisons]
        assert [test.p_corrected for test in tests] == correct_holm([test.p for test in tests])
    smallest = min(comparison.images.p for comparison in group.comparisons)
    assert min(c.images.p_corrected for c in group.comparisons) == pytest.approx(2 * smallest)


def test_the_macro_f1_is_compared_as_the_accuracy_is(root):
    (group,) = load_study([root], reference=REPORT).groups
    comparison = {c.name: c for c in group.comparisons}["no_augmentation"]
    ours, theirs = ({s.name: s for s in group.members}[name] for name in ("no_augmentation", "optimal"))
    values = [summary.get("macro_f1").values for summary in (ours, theirs)]
    assert comparison.f1_seeds.n == 2
    assert comparison.f1_seeds.p == scipy.stats.ttest_rel(values[0][:2], values[1][1:]).pvalue
    assert comparison.f1_images.mean == pytest.approx(values[0].mean() - values[1].mean())
    labels = ours.setting.runs[0].labels
    expected = compare_macro_f1(labels, ours.get_answers(), theirs.get_answers(), 7)
    assert (comparison.f1_images.low, comparison.f1_images.p) == (expected.low, expected.p)


def test_of_several_called_optimal_the_first_is_the_baseline(setting, tmp_path):
    for seed in range(2):
        write_run(tmp_path / "later" / "optimal" / f"seed_{seed}", seed, wrong=15)
    (group,) = load_study([setting, tmp_path / "later"], reference=REPORT).groups
    assert group.baseline.name == f"{tmp_path.name}/optimal"
    assert group.reason == "the default, the first of 2 settings called optimal"
    (group,) = load_study([setting, tmp_path / "later"], "later/optimal", REPORT).groups
    assert (group.baseline.name, group.reason) == ("later/optimal", "as named")
    with pytest.raises(UserError, match=r"--baseline=optimal is not one setting .* later/optimal"):
        load_study([setting, tmp_path / "later"], "optimal", REPORT)


def test_how_far_each_was_trained_and_on_what_shows_between_settings(root):
    for run in (root / "focal_gamma2").iterdir():
        edit_json(run / "config.json", train=json.loads((run / "config.json").read_text())["train"] | {"steps": 5})
        edit_json(run / "data.json", digest="e", path="x/other.csv", counts={"train": [9]})
    for seed in (1, 2, 3):
        changes = {"data.dedup": "exact", "data.normalize": False}
        write_run(root / "no_augmentation" / f"seed_{seed}", seed, changes=changes)
        edit_json(root / "no_augmentation" / f"seed_{seed}" / "data.json", digest="e")
    write_run(root / "zero" / "seed_0", 0, changes={"data.normalize": False})
    edit_json(root / "zero" / "seed_0" / "data.json", digest="f")
    (group,) = load_study([root], reference=REPORT).groups
    changes = {c.name: c.changes for c in group.comparisons}
    assert "train.steps: 0 -> 5" in changes["focal_gamma2"]
    assert changes["focal_gamma2"][-1] == "other data (faces.csv, 35,887 rows -> other.csv, 9 rows)"
    # A key of the config says why the data are others; how pixels are scaled does not.
    assert not any("other data" in change for change in changes["no_augmentation"])
    assert changes["zero"][-1] == "other data (faces.csv, 35,887 rows with other content)"


def test_the_p_over_seeds_is_scipys(setting, tmp_path):
    for seed in range(3):
        write_run(tmp_path / "other" / f"seed_{seed}", seed, wrong=12 + 3 * seed, changes={"model.dropout": 0.5})
    (group,) = load_study([setting, tmp_path / "other"], reference=REPORT).groups
    values = [summary.get("accuracy").values for summary in group.members]
    assert group.comparisons[0].seeds.p == scipy.stats.ttest_rel(*values).pvalue


def test_each_split_has_a_baseline_of_its_own(study_folder):
    test, validation = load_study([study_folder], reference=REPORT).groups
    assert [(group.split, group.baseline.name) for group in (test, validation)] == [
        ("test", "optimal"),
        ("validation", "batch32"),
    ]
    assert validation.reason == "the same config as optimal, which was evaluated on the test split"
    test, validation = load_study([study_folder], "lr_1e_3", REPORT).groups
    assert (validation.baseline.name, validation.reason) == ("lr_1e_3", "as named")
    assert test.baseline.name == "no_augmentation"
    assert test.reason == "the first setting, since none of this split has the config of lr_1e_3"


def test_without_optimal_the_first_is_the_baseline(root):
    (group,) = load_study([root / "no_augmentation", root / "focal_gamma2"], reference=REPORT).groups
    assert (group.baseline.name, group.reason) == ("no_augmentation", "the first setting, since none is called optimal")


def test_an_unknown_baseline_is_named_with_the_choices(root):
    with pytest.raises(UserError, match=r"--baseline=optimum .* choose one of focal_gamma2, no_augmentation, optimal"):
        load_study([root], "optimum", REPORT)


def test_other_images_are_not_compared(root):
    for run in (root / "no_augmentation").iterdir():
        old = read_predictions(run / "predictions.csv")
        write_predictions(
            run / "predictions.csv", row=old.row + 1, split="test", labels=old.labels, probabilities=old.probabilities
        )
        edit_json(run / "data.json", digest="other")
    (group,) = load_study([root], reference=REPORT).groups
    images = {c.name: c.images for c in group.comparisons}
    assert images["no_augmentation"].note == "not comparable: evaluated on different rows of the test split"
    assert images["no_augmentation"].p is None
    seeds = {c.name: c.seeds for c in group.comparisons}["no_augmentation"]
    assert seeds.note.endswith("evaluated on different rows of the test split")
    # One comparison is left to correct for.
    assert images["focal_gamma2"].p_corrected == images["focal_gamma2"].p


def test_other_data_with_the_same_images_is_compared(root):
    # Without the training images that have a copy, say.
    for run in (root / "no_augmentation").iterdir():
        edit_json(run / "data.json", digest="other")
    (group,) = load_study([root], reference=REPORT).groups
    assert all(comparison.images.p is not None for comparison in group.comparisons)
