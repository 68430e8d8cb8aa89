import numpy as np
import pytest
from written_numbers import read_text

from ferjax.errors import UserError
from ferjax.figures import (
    draw_worst_mistakes,
)
from ferjax.report import write_predictions


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


def test_a_face_without_a_prediction_is_named(workdir):
    np.savez(workdir / "worst_mistakes.npz", pixels=np.zeros((1, 48, 48), np.uint8), row=np.array([7]))
    with pytest.raises(UserError, match=r"shows row 7, which predictions\.csv lacks"):
        draw_worst_mistakes(workdir)
