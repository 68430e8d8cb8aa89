"""The chart of expressions over time."""

import numpy as np

from ferjax.figures.expressions import MOST_FACES, FaceCurve, draw_expressions

CLASSES = ("sad", "happy")


def make(name, times):
    times = np.asarray(times, np.float64)
    rise = np.linspace(0, 1, len(times), dtype=np.float32)
    return FaceCurve(name, times, np.stack([1 - rise, rise], axis=1))


def test_a_row_of_curves_for_each_face_that_is_seen_longest():
    curves = [make(f"face {n}", np.arange(n, n + 20 - n, 0.5)) for n in range(MOST_FACES + 2)]
    figure = draw_expressions(curves, CLASSES, "talk.mp4")
    assert [axes.get_ylabel().split("\n")[0] for axes in figure.axes] == [f"face {n}" for n in range(MOST_FACES)]
    assert "2 more" in figure.get_suptitle()
    assert [line.get_label() for line in figure.axes[0].lines] == list(CLASSES)
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata()[[0, -1]], [0, 100])


def test_a_face_that_was_away_is_not_drawn_through():
    (axes,) = draw_expressions([make("face 0", [0.0, 0.1, 0.2, 9.0, 9.1])], CLASSES, "").axes
    assert np.isnan(axes.lines[0].get_ydata()).sum() == 1


def test_a_long_video_is_drawn_by_means():
    (axes,) = draw_expressions([make("face 0", np.arange(100_000) / 25)], CLASSES, "").axes
    times, values = axes.lines[1].get_data()
    assert len(times) <= 1200
    np.testing.assert_allclose(values, np.linspace(0, 100, len(values)), atol=0.2)


def test_one_moment_and_none():
    assert draw_expressions([make("face 0", [1.0])], CLASSES, "").axes[0].lines[0].get_marker() == "o"
    assert draw_expressions([], CLASSES, "").axes
