import numpy as np
from written_numbers import make_curve, read_text

from ferjax.figures import (
    draw_accuracies,
    draw_validation_curves,
)


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
