import numpy as np
import pytest
from written_numbers import make_curve, read_text

from ferjax.figures import (
    draw_class_scores,
    draw_mean_confusion,
    draw_reliability,
    draw_seed_curves,
    save,
)


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


def test_a_figure_that_shows_the_next_matrix_gives_the_same_file(tmp_path):
    first, second = np.array([[[8, 2], [0, 4]], [[6, 4], [0, 4]]]), np.array([[[10, 0], [3, 1]], [[0, 10], [1, 3]]])
    saved = {}
    figures = [draw_mean_confusion("first", first, ["no", "yes"], saved)]
    for name, title, drawn in (("first", "first", saved), ("again", "the second", saved), ("new", "the second", None)):
        figures.append(draw_mean_confusion(title, first if title == "first" else second, ["no", "yes"], drawn))
        save(figures[-1], tmp_path / f"{name}.png", 50)
    assert figures[0] is figures[2] is not figures[3]
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "new.png").read_bytes()
    draw_mean_confusion("first", first, ["no", "sì"], saved)
    draw_mean_confusion("first", first[:1], ["no", "yes"], saved)
    draw_mean_confusion("first\nand last", first, ["no", "yes"], saved)
    assert len(saved) == 4


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
