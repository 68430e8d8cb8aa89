import json

import numpy as np
import pytest
from written_numbers import FULL, make_line, read_text, write_metrics

from ferjax.errors import UserError
from ferjax.figures import (
    draw_all,
    draw_curves,
    read_curves,
)


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
