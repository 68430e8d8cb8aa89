import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ferjax import figures
from ferjax.errors import UserError
from ferjax.figures import (
    Curve,
    draw_accuracies,
    draw_all,
    draw_class_distribution,
    draw_class_scores,
    draw_confusion,
    draw_curves,
    draw_mean_confusion,
    draw_reliability,
    draw_seed_curves,
    draw_validation_curves,
    draw_worst_mistakes,
    read_curves,
)
from ferjax.report import choose_worst, create_report, write_predictions, write_report


def make_line(step, split, *, accuracy=0.5, **more):
    return {"step": step, "epoch": step / 10, "split": split, "loss": 2 - step / 100, "accuracy": accuracy, **more}


FULL = [make_line(step, "train_step", learning_rate=1e-4, images_per_s=9.0) for step in range(5, 41, 5)]
FULL += [make_line(step, "train", learning_rate=1e-4, images_per_s=9.0) for step in (10, 20, 30, 40)]
FULL += [make_line(step, "validation", accuracy=a) for step, a in ((10, 0.3), (20, 0.6), (30, 0.6), (40, 0.4))]


def write_metrics(workdir, lines, tail=""):
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)


@pytest.fixture
def workdir(tmp_path):
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 7, 40), rng.dirichlet(np.ones(7), 40)
    rows = 200 + np.arange(40)
    write_predictions(tmp_path / "predictions.csv", row=rows, split="test", labels=labels, probabilities=probabilities)
    write_report(tmp_path, create_report(labels, probabilities, "test"))
    worst = choose_worst(labels, probabilities, k=8)
    pixels = rng.integers(0, 256, (len(worst), 48, 48)).astype(np.uint8)
    np.savez(tmp_path / "worst_mistakes.npz", pixels=pixels, row=rows[worst])
    counts = {"train": [70, 7, 70, 140, 70, 70, 70], "validation": [5] * 7, "test": [0] * 7}
    data = {"path": "synthetic", "digest": "", "counts": counts, "skipped": [], "notes": []}
    (tmp_path / "data.json").write_text(json.dumps(data))
    write_metrics(tmp_path, FULL)
    return tmp_path


def read_text(figure):
    """All words of a figure."""
    texts = [figure.get_suptitle(), *(text.get_text() for text in figure.texts)]
    for axes in figure.axes:
        texts += [axes.get_title(), *(text.get_text() for text in axes.texts)]
        if axes.get_legend():
            texts += [text.get_text() for text in axes.get_legend().get_texts()]
    return "\n".join(texts)


def test_all_figures_are_drawn_and_the_same_each_time(workdir):
    paths = draw_all(workdir)
    assert [path.name for path in paths] == list(figures.FIGURES)
    assert sorted((workdir / "figures").iterdir()) == sorted(paths)
    for path in paths:
        with Image.open(path) as image:
            assert min(image.size) > 300
            assert np.ptp(np.asarray(image.convert("L"))) > 100
            assert "Software" not in image.info
    first = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in draw_all(workdir)] == first


def test_pyplot_is_never_loaded(workdir):
    # In a process of its own, because other libraries' tests may load it in this one.
    code = "import pathlib, sys, ferjax.figures as f; f.draw_all(pathlib.Path(sys.argv[1]))"
    code += "; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, str(workdir)]).returncode == 0


def test_a_figure_without_its_source_is_left_out(workdir):
    (workdir / "metrics.jsonl").unlink()
    (workdir / "worst_mistakes.npz").unlink()
    assert [path.name for path in draw_all(workdir)] == ["confusion.png", "class_distribution.png"]


def test_curves_mark_the_first_best_epoch_and_name_the_splits(workdir):
    figure = draw_curves(workdir)
    words = read_text(figure)
    assert "train n = 497, validation n = 35" in words
    assert "best validation accuracy: 60.0% at epoch 2" in words
    loss, accuracy, rate = figure.axes
    assert [line.get_label() for line in loss.lines][:3] == [
        "train, mean of a few steps",
        "train",
        "validation",
    ]
    np.testing.assert_allclose(accuracy.lines[2].get_ydata(), [30, 60, 60, 40])
    assert set(rate.lines[0].get_ydata()) == {1e-4}


def test_a_run_shorter_than_an_epoch_shows_its_points(workdir):
    write_metrics(workdir, [*FULL[:1], make_line(5, "validation", accuracy=0.2)])
    loss = draw_curves(workdir).axes[0]
    # A line through one point is invisible without a marker, and the steps are all there is: not faint.
    assert all(line.get_marker() == "o" for line in loss.lines[:2])
    assert loss.lines[0].get_alpha() is None


@pytest.mark.parametrize("lines", [[], FULL[:3]])
def test_a_run_without_validation_has_no_best_epoch(workdir, lines):
    write_metrics(workdir, lines)
    assert "best" not in read_text(draw_curves(workdir))
    assert len(draw_all(workdir)) == 4


@pytest.mark.parametrize("tail", ['{"step": 41, "ep', '{"step": 41}', "41"])
def test_half_a_last_line_is_passed_over(workdir, tail):
    write_metrics(workdir, FULL, tail)
    assert read_curves(workdir / "metrics.jsonl")["train"].epoch.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "tail", ['{"step": 41, "ep\n', '{"step": 41}\n', "41\n", '{"st\n' + json.dumps(FULL[0]) + "\n"]
)
def test_a_broken_line_is_named(workdir, tail):
    write_metrics(workdir, FULL, tail)
    with pytest.raises(UserError, match=rf"metrics\.jsonl, line {len(FULL) + 1} cannot be read"):
        draw_all(workdir)


def test_a_step_logged_again_after_a_resume_counts_once(workdir):
    again = make_line(10, "validation", accuracy=0.9)
    write_metrics(workdir, [*FULL, again])
    assert read_curves(workdir / "metrics.jsonl")["validation"].accuracy.tolist() == [0.9, 0.6, 0.6, 0.4]


def test_confusion_shows_shares_and_counts(workdir):
    confusion = [[0] * 7 for _ in range(7)]
    confusion[0][0], confusion[0][2], confusion[3][3] = 3, 1, 5
    report = json.loads((workdir / "report.json").read_text()) | {"confusion": confusion, "n": 9}
    (workdir / "report.json").write_text(json.dumps(report))
    figure = draw_confusion(workdir)
    words = read_text(figure).splitlines()
    assert {"75%", "3", "25%", "1", "100%", "5"} <= set(words)
    assert "Confusion matrix, test split, n = 9" in words
    assert figure.axes[0].images[0].get_array()[0, 2] == 0.25


def test_class_distribution_leaves_out_an_empty_split(workdir):
    figure = draw_class_distribution(workdir)
    assert [axes.get_title() for axes in figure.axes] == ["train, n = 497", "validation, n = 35"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["70", "7", "70", "140", "70", "70", "70"]


def test_worst_mistakes_show_the_faces_with_their_answers(workdir):
    figure = draw_worst_mistakes(workdir)
    with np.load(workdir / "worst_mistakes.npz") as file:
        pixels, row = file["pixels"], file["row"]
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 8
    np.testing.assert_array_equal(shown[3].images[0].get_array(), pixels[3])
    fields = (workdir / "predictions.csv").read_text().splitlines()[1 + row[3] - 200].split(",")
    top = max(float(field) for field in fields[4:])
    assert shown[3].get_title() == f"{fields[2]} → {fields[3]}\n{top:.1%}"
    assert "The 8 most confident of" in figure.get_suptitle()


def test_no_mistakes_is_said(workdir):
    labels = np.arange(7)
    write_predictions(
        workdir / "predictions.csv", row=labels, split="validation", labels=labels, probabilities=np.eye(7)
    )
    np.savez(workdir / "worst_mistakes.npz", pixels=np.zeros((0, 48, 48), np.uint8), row=np.zeros(0, np.int64))
    assert "No mistakes: validation split, n = 7" in read_text(draw_worst_mistakes(workdir))


@pytest.mark.parametrize(
    ("draw", "name", "content"),
    [
        (draw_class_distribution, "data.json", b"{"),
        (draw_class_distribution, "data.json", b"[]"),
        (draw_class_distribution, "data.json", b'{"counts": {"train": [1, 2]}, "classes": ["a", "b", "c"]}'),
        (draw_worst_mistakes, "worst_mistakes.npz", b""),
        (draw_worst_mistakes, "worst_mistakes.npz", b"PK\x03\x04"),
    ],
)
def test_a_broken_source_is_named(workdir, draw, name, content):
    (workdir / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name} cannot be read"):
        draw(workdir)


def test_a_face_without_a_prediction_is_named(workdir):
    np.savez(workdir / "worst_mistakes.npz", pixels=np.zeros((1, 48, 48), np.uint8), row=np.array([7]))
    with pytest.raises(UserError, match=r"shows row 7, which predictions\.csv lacks"):
        draw_worst_mistakes(workdir)


def test_figures_name_the_classes_of_the_run(workdir):
    (workdir / "data.json").write_text(json.dumps({"classes": ["no", "yes"], "counts": {"train": [3, 5]}}))
    axes = draw_class_distribution(workdir).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["no", "yes"]
    write_predictions(
        workdir / "predictions.csv",
        row=np.arange(2),
        split="test",
        labels=np.array([0, 0]),
        probabilities=np.array([[0.1, 0.9], [1, 0]]),
        classes=("no", "yes"),
    )
    np.savez(workdir / "worst_mistakes.npz", pixels=np.zeros((1, 48, 48), np.uint8), row=np.array([0]))
    assert "no → yes\n90.0%" in read_text(draw_worst_mistakes(workdir))


def make_curve(epochs, accuracy):
    epochs, accuracy = np.array(epochs, np.float64), np.array(accuracy, np.float64)
    return Curve(epochs, 2 - accuracy, accuracy, np.full(len(epochs), np.nan))


def test_seed_curves_are_the_mean_within_the_range_of_the_common_epochs():
    runs = [{"validation": make_curve([1, 2, 3], [0.2, 0.4, 0.9])}, {"validation": make_curve([1, 2], [0.4, 0.5])}]
    loss, accuracy = draw_seed_curves("title", runs).axes
    (line,) = accuracy.lines
    np.testing.assert_allclose(line.get_xydata(), [[1, 30], [2, 45]])
    np.testing.assert_allclose(loss.lines[0].get_ydata(), [1.7, 1.55])
    band = accuracy.collections[0].get_paths()[0].vertices
    assert {(1, 20), (1, 40), (2, 40), (2, 50)} <= {tuple(point) for point in band.round(9)}
    assert "mean of 2 seeds, band from the lowest to the highest" in read_text(loss.figure)
    assert "the one seed" in read_text(draw_seed_curves("title", runs[:1]))


def test_the_mean_confusion_has_shares_and_the_deviation_over_seeds():
    confusions = np.array([[[8, 2], [0, 4]], [[6, 4], [0, 4]]])
    figure = draw_mean_confusion("title", confusions, ["no", "yes"])
    words = read_text(figure).splitlines()
    assert {"70%", "7.0 ± 1.4", "30%", "3.0 ± 1.4", "100%", "4.0 ± 0.0", "0"} <= set(words)
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), [[0.7, 0.3], [0, 1]])
    assert {"80%", "8", "2"} <= set(read_text(draw_mean_confusion("title", confusions[:1], ["no", "yes"])).splitlines())


def test_class_scores_show_the_reports_where_it_has_them():
    scores = np.array([[0.5, 0.7], [0.7, 0.7]])
    axes = draw_class_scores("title", ["no", "yes"], scores, {"yes": (0.8, 0.1)}, "report").axes[0]
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([60, 70])
    ours, theirs = axes.containers[1:]
    spans = [np.ptp(segment[:, 1]) for segment in ours.lines[2][0].get_segments()]
    np.testing.assert_allclose(spans, [2 * 14.142136, 0], atol=1e-5)
    np.testing.assert_allclose(theirs.lines[0].get_xydata(), [[1.16, 80]])
    assert "report, ± std" in read_text(axes.figure)
    assert "report" not in read_text(draw_class_scores("title", ["no", "yes"], scores, {}, "report"))


def test_reliability_shows_accuracy_confidence_and_counts_of_the_filled_bins():
    count, correct = np.array([0, 4, 16]), np.array([0, 1, 15])
    figure = draw_reliability("title", count, np.array([0, 2.0, 14.0]), correct)
    upper, lower = figure.axes
    heights = [bar.get_height() for bar in upper.patches]
    np.testing.assert_allclose(heights, [25, 93.75, 50 - 25, 87.5 - 93.75])
    np.testing.assert_allclose([bar.get_x() for bar in upper.patches], [100 / 3, 200 / 3] * 2)
    assert [bar.get_height() for bar in lower.patches] == [20, 80]
    assert {"4", "16"} <= set(read_text(figure).splitlines())


def test_accuracies_show_seeds_interval_and_the_reports():
    values = {"optimal": np.array([0.6, 0.7]), "other": np.array([0.5])}
    axes = draw_accuracies("title", values, {"optimal": (0.55, 0.75)}, {"other": (0.52, None)}, "report").axes[0]
    drawn = [line.get_xydata().tolist() for line in axes.lines]
    assert [[55.00000000000001, 0], [75, 0]] in drawn
    assert [[60, 0.16], [70, 0.16]] in drawn
    assert [[50, 1]] in drawn
    assert [[52, 0.8]] in drawn
    assert [label.get_text() for label in axes.get_yticklabels()] == ["optimal", "other"]
    assert "report, ± std" in read_text(axes.figure)


def test_validation_curves_have_a_line_a_setting_all_unlike():
    settings = {f"s{i}": [make_curve([1, 2], [0.1, 0.01 * i])] for i in range(18)}
    loss, accuracy = draw_validation_curves("title", settings).axes
    assert [line.get_label() for line in accuracy.lines] == list(settings)
    assert len({(line.get_color(), line.get_linestyle()) for line in loss.lines}) == 18
