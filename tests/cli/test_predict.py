"""`ferjax predict`: its files, its words, its exit codes."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ferjax.cli import predict
from ferjax.inference import LAYOUTS, detectors, list_columns
from ferjax.inference.formats import FORMATS
from ferjax.inference.pictures import Picture
from ferjax.views import VIEWS
from tests.inference.conftest import SquareFinder, draw, video_file  # noqa: F401 - a fixture


@pytest.fixture
def run(finished_run, monkeypatch, capfd):
    """Run the command on the tiny network with the drawn faces' detector; return code, stdout and stderr."""
    monkeypatch.setattr(detectors, "create", lambda name: SquareFinder())
    monkeypatch.setattr("ferjax.runtime.keep_compiled", lambda: None)

    def run(*arguments):
        # One batch size for all, since each compiles anew.
        options = ["--network", str(finished_run), "--batch_size", "8"]
        code = predict.main([*map(str, arguments), *options])
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    Image.fromarray(draw((10, 20), (60, 20))).save(folder / "a.png")
    Image.fromarray(draw()).save(folder / "b.png")
    Image.fromarray(draw((10, 20))).save(folder / "more" / "a.png")
    return folder


def test_the_tables_are_those_of_the_rooms():
    assert tuple(FORMATS) == predict.FORMATS
    assert tuple(LAYOUTS) == predict.LAYOUTS
    assert tuple(detectors.DETECTORS) == predict.DETECTORS
    assert tuple(VIEWS) == predict.VIEWS


def test_in_words(run, pictures):
    code, out, err = run(pictures)
    assert code == 0
    lines = out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        str(pictures / name) for name in ("a.png", "b.png", "more/a.png")
    ]
    assert lines[0].count("%") == 2
    assert lines[1].endswith(": no face")
    assert "3 faces in 3 pictures" in err
    assert "1 pictures have no face that was found." in err


def test_what_cannot_be_read_is_listed_and_the_code_is_3(run, pictures):
    (pictures / "c.jpg").write_bytes(b"")
    code, out, err = run(pictures, "nowhere.jpg", "-f", "jsonl")
    assert code == 3
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["status"] for row in rows].count("unreadable") == 2
    assert rows[-1] == {**dict.fromkeys(rows[-1]), **rows[-1]}
    assert rows[-1]["source"] == "nowhere.jpg"
    assert "2 could not be read:" in err
    assert "nowhere.jpg: there is no such file" in err


def test_every_format_holds_the_same_rows(run, pictures, tmp_path, network):
    code, out, _ = run(pictures, "-o", tmp_path / "out", "-f", "all", "--draw")
    assert (code, out) == (0, "")
    folder = tmp_path / "out"
    columns = list(list_columns(network.classes))
    with open(folder / "faces.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["face"] for row in rows] == ["0", "1", "", "0"]
    assert list(rows[0]) == columns
    frame = pd.read_parquet(folder / "faces.parquet")
    assert list(frame.columns) == columns
    assert frame["label"].fillna("").tolist() == [row["label"] for row in rows]
    objects = json.loads((folder / "faces.json").read_text())
    assert objects == [json.loads(line) for line in (folder / "faces.jsonl").read_text().splitlines()]
    for row, line in zip(objects, rows, strict=True):
        assert {name: "" if value is None else str(value) for name, value in row.items()} == line
    markdown = (folder / "faces.md").read_text().splitlines()
    assert len(markdown) == 2 + len(rows)
    page = (folder / "faces.html").read_text()
    assert page.count("<img") == 3
    assert "3 faces in 3 pictures" in page
    # Files of one name in two folders keep a copy each.
    assert sorted(path.name for path in (folder / "annotated").iterdir()) == ["a.jpg", "a_2.jpg", "b.jpg"]
    with Image.open(folder / "annotated" / "a.jpg") as copy:
        assert np.abs(np.asarray(copy, int) - draw((10, 20), (60, 20))).max() > 50


def test_a_video_gets_a_table_a_chart_and_a_copy(run, video_file, tmp_path):  # noqa: F811
    av = pytest.importorskip("av")
    code, _, err = run(video_file, "-o", tmp_path, "--stride", "2", "--draw")
    assert code == 0
    frame = pd.read_csv(tmp_path / "faces.csv")
    assert frame["frame"].unique().tolist() == list(range(0, 20, 2))
    assert "20 frames, 10 of them skipped by --stride=2" in err
    with Image.open(tmp_path / "talk_expressions.png") as chart:
        assert chart.width > 500
    with av.open(str(tmp_path / "annotated" / "talk.mp4")) as copy:
        times = [image.time for image in copy.decode(video=0)]
    np.testing.assert_allclose(times, np.arange(0, 20, 2) / 10, atol=1e-3)


def test_ready_crops(run, pictures):
    code, out, _ = run(pictures, "--crops", "-f", "csv")
    assert code == 0
    assert [line.split(",")[4:8] for line in out.splitlines()[1:]] == [["0", "0", "160", "90"]] * 3


@pytest.mark.parametrize("layout", ["deepface", "fer", "pyfeat"])
def test_the_layouts_of_other_tools(run, pictures, layout):
    code, out, _ = run(pictures, "--layout", layout)
    assert code == 0
    shaped = json.loads(out)
    assert len(shaped) == (4 if layout == "pyfeat" else 3)


def test_votes_are_fused_and_their_weight_is_fitted(run, pictures, tmp_path, network):
    votes = tmp_path / "votes.csv"
    header = f"source,{','.join(network.classes)},label\n"
    sad = "0,0,0,0,9,0,1"
    votes.write_text(header + f"more/a.png,{sad},\nb.png,{sad},\n{pictures}/more/a.png,{sad},\n")
    code, out, err = run(pictures, "--context", votes, "--weight", "1", "-f", "jsonl")
    assert code == 0
    fused = json.loads(out.splitlines()[-1])
    assert (fused["label"], round(fused["confidence"], 3)) == ("sad", 0.9)
    assert "2 lines of" in err
    votes.write_text(header + f"a.png,{sad},sad\n")
    code, out, err = run(pictures, "--context", votes, "-f", "jsonl")
    assert code == 0
    assert "The votes count 1.00, by the labels of 3 faces." in err
    votes.write_text(header + f"a.png,{sad},\n")
    code, _, err = run(pictures, "--context", votes)
    assert (code, err.count("\n")) == (1, 1)
    assert "say so with --weight" in err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a.png,x,0,0,0,0,0,0,", "line 2: a vote is no number"),
        ("a.png,0,0,0,0,0,0,0,", "line 2: its votes must"),
        ("a.png,1,0,0,0,0,0,0,glad", "line 2: the label 'glad' is not one of"),
    ],
)
def test_wrong_votes_are_told_with_their_line(run, pictures, tmp_path, network, line, said):
    votes = tmp_path / "votes.csv"
    votes.write_text(f"source,{','.join(network.classes)},label\n{line}\n")
    code, _, err = run(pictures, "--context", votes, "--weight", "0.5")
    assert code == 1
    assert said in err
    votes.write_text("source,happy\n")
    assert "lacks the column angry" in run(pictures, "--context", votes, "--weight", "0.5")[2]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("-f", "csv,html"), "Several formats need a folder: -o DIR."),
        (("-f", "parquet"), "-f parquet needs a folder"),
        (("-f", "xls"), "'xls' is not one of csv, json"),
        (("--draw",), "--draw needs a folder"),
        (("--weight", "0.3"), "--weight is for --context"),
        (("--weight", "3"), "not a number within 0 and 1"),
        (("--layout", "fer", "-f", "csv"), "--layout fer is for -f json, jsonl, not for csv."),
        (("--stride", "0"), "not a whole number from 1 up"),
        (("--veiws", "crops"), "did you mean --views?"),
    ],
)
def test_a_mistake_in_the_flags_is_one_sentence(run, pictures, flags, said):
    code, out, err = run(pictures, *flags)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_an_interrupt_leaves_whole_files(run, tmp_path, monkeypatch):
    def endless(*_, **__):
        for number in range(100):
            if number == 20:
                raise KeyboardInterrupt
            yield lambda: Picture("camera 0", draw((10, 20)))

    monkeypatch.setattr("ferjax.inference.pipeline.find_pictures", endless)
    code, _, err = run("0", "-o", tmp_path, "-f", "json,csv")
    assert code == 130
    assert "what was found until then is written" in err
    written = json.loads((tmp_path / "faces.json").read_text())
    assert len(written) == len((tmp_path / "faces.csv").read_text().splitlines()) - 1 > 0
