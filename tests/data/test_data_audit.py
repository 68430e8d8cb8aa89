"""The audit counts what was put into the data set, and its page shows it."""

import base64
import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from ferjax.cli import audit
from ferjax.data.datasets.fer2013 import FORM


@pytest.fixture
def flawed(draw, blend):
    """One exact group of three with two labels across splits, one without, a near and a mirrored pair, flat images."""
    images = draw(12)
    pixels = np.concatenate(
        [
            images[:8],  # rows 0..7
            images[[0, 0, 1]],  # 8, 9: copies of row 0; 10: of row 1
            np.stack([blend(images[2], images[9], 0.15), images[3][:, ::-1]]),  # 11: nearly row 2; 12: row 3 mirrored
            np.stack([np.full((48, 48, 1), level, np.uint8) for level in (0, 9)]),  # 13, 14
        ]
    )
    emotion = np.array([0, 1, 2, 3, 4, 5, 6, 0, 0, 4, 1, 5, 3, 6, 6], np.int32)
    usage = np.array([0, 0, 0, 0, 0, 0, 1, 2, 1, 2, 0, 2, 0, 0, 0], np.uint8)
    return FORM.create_rows(pixels, emotion, usage)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command in tmp_path; exit code, stdout, stderr."""

    def call(*arguments):
        monkeypatch.chdir(tmp_path)
        code = audit.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def test_the_table_and_the_files(tmp_path, flawed, csv_text, run):
    (tmp_path / "fer.csv").write_text(csv_text(flawed))
    code, printed, _ = run("fer.csv")
    assert code == 0
    found = json.loads((tmp_path / "audit_fer" / "audit.json").read_text())
    assert found["rows"] == 15
    assert found["counts"] == {
        "Training": [1, 2, 1, 2, 1, 1, 2],
        "PublicTest": [1, 0, 0, 0, 0, 0, 1],
        "PrivateTest": [1, 0, 0, 0, 1, 1, 0],
    }
    assert found["copies"] == {
        "distinct images": {"exact": 12, "exact_or_near": 10},
        "groups of copies": {"exact": 2, "exact_or_near": 4},
        "rows in them": {"exact": 5, "exact_or_near": 9},
        "groups with contradicting labels": {"exact": 1, "exact_or_near": 2},
        "Training rows with a copy in PublicTest": {"exact": 1, "exact_or_near": 1},
        "Training rows with a copy in PrivateTest": {"exact": 1, "exact_or_near": 2},
        "PublicTest rows with a copy in Training": {"exact": 1, "exact_or_near": 1},
        "PublicTest rows with a copy in PrivateTest": {"exact": 1, "exact_or_near": 1},
        "PrivateTest rows with a copy in Training": {"exact": 1, "exact_or_near": 2},
        "PrivateTest rows with a copy in PublicTest": {"exact": 1, "exact_or_near": 1},
    }
    assert found["flat_images"] == [13, 14]
    for what, counts in found["copies"].items():
        assert re.search(rf"^{what} +{counts['exact']} +{counts['exact_or_near']}$", printed, re.MULTILINE)
    assert re.search(r"^flat images +2$", printed, re.MULTILINE)
    assert re.search(r"^PrivateTest +1 +0 +0 +0 +1 +1 +0 +3$", printed, re.MULTILINE)

    with open(tmp_path / "audit_fer" / "copies.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["group"], line["row"], line["kind"]) for line in lines] == [
        *(("1", str(row), "exact") for row in (0, 8, 9)),
        *(("2", str(row), "exact") for row in (1, 10)),
        *(("3", str(row), "near") for row in (2, 11)),
        *(("4", str(row), "near") for row in (3, 12)),
    ]
    assert lines[1] == {
        "group": "1",
        "row": "8",
        "usage": "PublicTest",
        "emotion": "angry",
        "kind": "exact",
        "correlation": "1.0000",
    }
    assert 0.92 <= float(lines[5]["correlation"]) < 0.9999
    assert not list((tmp_path / "audit_fer").glob(".*"))


def test_the_page_shows_the_examples(tmp_path, flawed, csv_text, run):
    (tmp_path / "fer.csv").write_text(csv_text(flawed))
    assert run("fer.csv", "--output", tmp_path / "out")[0] == 0
    text = (tmp_path / "out" / "index.html").read_text()
    pictures = dict(re.findall(r'<img alt="([^"]*)" src="data:image/png;base64,([^"]*)"', text))
    contradiction = "angry 0, angry 8 (PublicTest), sad 9 (PrivateTest)"
    mirrored = "1.000, mirrored: happy 3, happy 12"
    assert "fear 2" not in pictures  # near copies with two labels are not one image with two labels
    assert {contradiction, mirrored, "neutral 13", "neutral 14"} <= pictures.keys()
    (near,) = (caption for caption in pictures if caption.endswith(": fear 2, surprise 11 (PrivateTest)"))
    assert text.count(f'alt="{near}"') == 2  # as the least alike that count, and for its labels
    assert "Images with more than one label: 1." in text
    for caption, rows in {contradiction: [0], mirrored: [3, 12], near: [2, 11]}.items():
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures[caption]))))
        for i, row in enumerate(rows):
            np.testing.assert_array_equal(shown[::2, ::2][:, 49 * i : 49 * i + 48], flawed.images[row, :, :, 0])
    assert "http" not in text.replace("http-equiv", "")


def test_a_clean_data_set(tmp_path, draw, csv_text, run):
    rows = FORM.create_rows(draw(6), np.arange(6, dtype=np.int32), np.array([0, 0, 0, 0, 1, 1], np.uint8))
    (tmp_path / "fer.csv").write_text(csv_text(rows))
    code, printed, _ = run("fer.csv")
    assert code == 0
    assert re.search(r"^rows in them +0 +0$", printed, re.MULTILINE)
    text = (tmp_path / "audit_fer" / "index.html").read_text()
    assert "No image is a single gray level." in text
    assert "No two rows have the same pixels and different labels." in text
    assert "<img" not in text


def test_mistakes_are_sentences(tmp_path, flawed, csv_text, run):
    code, _, said = run("nowhere.csv")
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("ferjax: There is no data set at nowhere.csv")
    text = csv_text(flawed).splitlines()
    text[4] = "9" + text[4][1:]
    (tmp_path / "fer.csv").write_text("\n".join(text))
    code, _, said = run("fer.csv")
    assert code == 1
    assert "row 4 (line 5): emotion is 9" in said
    option = re.search(r"(--\S+)=skip", said)[0]  # what the sentence says to add works here too
    assert run("fer.csv", option)[0] == 0
    assert "left out: row 4 (line 5): emotion is 9" in (tmp_path / "audit_fer" / "index.html").read_text()
    (tmp_path / "file").write_text("")
    code, _, said = run("fer.csv", "--on_bad_row", "skip", "--output", "file")
    assert code == 1
    assert "ferjax: file cannot be written (File exists): name another folder with --output" in said
