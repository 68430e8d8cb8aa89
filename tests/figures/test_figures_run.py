import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from written_numbers import read_text

from ferjax import figures
from ferjax.errors import UserError
from ferjax.figures import (
    draw_all,
    draw_class_distribution,
    draw_confusion,
    draw_worst_mistakes,
)
from ferjax.report import write_predictions


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
