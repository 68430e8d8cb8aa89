"""`ferjax predict`: its files, its words, its exit codes."""

import base64
import csv
import io
import json
import os
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ferjax.cli import predict
from ferjax.explain import EXPLANATIONS, faces
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
    assert tuple(EXPLANATIONS) == predict.EXPLANATIONS


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
    assert "1 picture without a face that was found." in err


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


def test_explained_copies_have_the_map_over_each_face_and_the_page_shows_it(run, pictures, tmp_path, monkeypatch):
    # An untrained network's own maps may be empty.
    monkeypatch.setattr(
        faces, "explain", lambda network, inputs, method, targets: np.ones(inputs.shape[:3], np.float32)
    )
    # At the picture's edge, so that the map goes beyond it.
    Image.fromarray(draw((0, 0), (130, 60))).save(pictures / "a.png")
    code, _, err = run(pictures, "-o", tmp_path / "out", "-f", "html", "--draw", "--explain", "grad_cam")
    assert code == 0
    assert f"wrote    {tmp_path / 'out' / 'explained'}" in err
    names = [sorted(path.name for path in (tmp_path / "out" / name).iterdir()) for name in ("annotated", "explained")]
    assert names == [["a.jpg", "a_2.jpg", "b.jpg"]] * 2
    plain, explained = (
        np.asarray(Image.open(tmp_path / "out" / name / "a.jpg"), int) for name in ("annotated", "explained")
    )
    changed = np.abs(plain - explained).max(axis=-1) > 40
    assert changed[:36, :36].any()
    assert changed[56:, 124:].any()
    assert not changed[:, 50:110].any()
    page = (tmp_path / "out" / "faces.html").read_text()
    assert "with where the answer comes from" in page
    pictures_of_page = [Image.open(io.BytesIO(base64.b64decode(m))) for m in re.findall(r"base64,([^\"]+)", page)]
    # 280 pixels wide at most, which these smaller pictures are not: their faces' maps are beneath.
    assert [image.height > 90 for image in pictures_of_page] == [True, False, True]


def test_no_picture_of_the_user_is_written_over_and_a_second_run_is_the_first_again(run, pictures, video_file):  # noqa: F811
    pytest.importorskip("av")
    shutil.copy(video_file, pictures / "more" / "talk.mp4")
    (pictures / "annotated").mkdir()
    (pictures / "a.png").rename(pictures / "annotated" / "a.jpg")  # where the copy of more/a.png would go
    (pictures / "talk_expressions.png").write_bytes((pictures / "b.png").read_bytes())
    before = {path: path.read_bytes() for path in pictures.rglob("*.*")}
    names, rows = [], []
    for _ in range(2):
        code, _, err = run(pictures, "-o", pictures, "-f", "csv", "--draw", "--explain", "grad_cam")
        assert code == 0
        assert "From an earlier run" not in err
        names.append(sorted(str(path.relative_to(pictures)) for path in pictures.rglob("*.*")))
        rows.append(pd.read_csv(pictures / "faces.csv"))
    assert names[0] == names[1]
    assert {"annotated/a_2.jpg", "annotated/a_3.jpg", "annotated/talk.mp4", "talk_expressions_2.png"} <= set(names[0])
    pd.testing.assert_frame_equal(*rows)
    assert {path: path.read_bytes() for path in before} == before


def test_answers_replace_a_link_and_not_what_it_names(run, pictures, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "faces.csv").symlink_to("../precious.txt")
    assert run(pictures, "-o", tmp_path / "out")[0] == 0
    assert (tmp_path / "precious.txt").read_text() == "mine"
    assert not (tmp_path / "out" / "faces.csv").is_symlink()


def test_what_an_earlier_run_left_is_told(run, pictures, tmp_path):
    run(pictures, "-o", tmp_path / "out", "-f", "md,csv", "--draw")
    code, _, err = run(pictures / "b.png", "-o", tmp_path / "out", "-f", "csv", "--draw")
    assert code == 0
    assert (
        f"From an earlier run, and not of this one's answers: {tmp_path}/out/faces.md, "
        f"{tmp_path}/out/annotated (2 files)\n" in err
    )


def test_a_name_with_a_line_break_stays_on_one_line(run, pictures, tmp_path):
    (pictures / "a.png").rename(pictures / "two\nlines.png")
    code, out, err = run(pictures / "two\nlines.png", pictures / "no\nfile.png")
    assert code == 3
    assert [line.partition(": ")[0] for line in out.splitlines()] == [
        f"{pictures}/two\\nlines.png",
        f"{pictures}/no\\nfile.png",
    ]
    assert f"  {pictures}/no\\nfile.png: there is no such file" in err
    run(pictures, "-o", tmp_path / "out", "-f", "md,csv")
    assert len((tmp_path / "out" / "faces.md").read_text().splitlines()) == 2 + 4
    assert f"{pictures}/two\nlines.png" in pd.read_csv(tmp_path / "out" / "faces.csv")["source"].tolist()


def test_the_page_counts_pictures_as_the_last_words_do(run, pictures, tmp_path):
    (pictures / "c.jpg").write_bytes(b"")
    _, _, err = run(pictures, "-o", tmp_path / "out", "-f", "html")
    assert "3 faces in 4 pictures" in err
    page = (tmp_path / "out" / "faces.html").read_text()
    assert "3 faces in 4 pictures; 1 of these could not be read." in page


def test_odd_names_have_their_row_in_every_file(run, finished_run, pictures, tmp_path, monkeypatch, capfd):
    odd = pictures / os.fsdecode(b"bad\xff.png")
    (pictures / "a.png").rename(odd)
    shutil.copy(odd, pictures / "-dash.png")
    code, _, _ = run(odd, "-o", tmp_path / "out", "-f", "all", "--draw")
    assert code == 0
    # What is no UTF-8 keeps its bytes as escapes.
    with open(tmp_path / "out" / "faces.csv", encoding="utf-8", newline="") as file:
        assert [row["source"][-10:] for row in csv.DictReader(file)] == ["\\udcff.png"] * 2
    assert pd.read_parquet(tmp_path / "out" / "faces.parquet")["source"][0].endswith("bad\\udcff.png")
    monkeypatch.chdir(pictures)
    assert predict.main(["--crops", "--network", str(finished_run), "--batch_size=8", "--", "-dash.png"]) == 0
    assert capfd.readouterr().out.startswith("-dash.png: ")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("", "'': an empty name: name a picture, a video or a folder"),
        ("-", "-: the standard input is not read: name a file"),
        ("https://example.org/a.jpg", "https://example.org/a.jpg: an address, and ferjax reads"),
        ("*.nothing", "*.nothing: no file is called so"),
        ("empty", "empty: a folder without any image or video"),
        ("bomb.png", "bomb.png: an image of more than 179 megapixels"),
        ("frameless.mkv", "frameless.mkv: not a readable video"),
        ("text.png", "text.png: not a readable image (unknown format)"),
    ],
)
def test_what_is_no_picture_is_one_sentence_and_the_others_are_read(run, pictures, monkeypatch, source, sentence):
    monkeypatch.chdir(pictures)
    (pictures / "empty").mkdir()
    (pictures / "text.png").write_text("hello")
    if source == "bomb.png":
        Image.new("1", (20_000, 20_000)).save("bomb.png")
    if source == "frameless.mkv":
        av = pytest.importorskip("av")
        with av.open(source, "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            container.start_encoding()
    code, out, err = run(source, "b.png")
    assert code == 3
    assert out.splitlines()[1] == "b.png: no face"
    assert out.startswith(sentence)
    assert "1 could not be read:\n" in err


def test_a_file_is_no_folder_for_answers(run, pictures):
    code, _, err = run(pictures / "b.png", "-o", pictures / "b.png")
    assert (code, err) == (1, f"ferjax: {pictures / 'b.png'} is or lies in a file: name a folder with -o DIR.\n")


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
    assert f"On none of these faces: 2 lines of {votes} (source more/a.png, b.png)." in err
    votes.write_text(header + f"c.png,{sad},\n")
    code, out, err = run(pictures, "--context", votes, "--weight", "1", "-f", "jsonl")
    assert (code, len(out.splitlines())) == (1, 4)
    assert f"{votes} votes on none of these faces" in err
    assert "its column source has c.png, and should have" in err
    (tmp_path / "out").mkdir()
    shutil.copy(votes, tmp_path / "out" / "faces.csv")
    code, _, err = run(pictures, "--context", tmp_path / "out" / "faces.csv", "-o", tmp_path / "out", "-f", "csv")
    assert (code, (tmp_path / "out" / "faces.csv").read_text()) == (2, votes.read_text())
    assert "lies where the answers go: name another folder" in err
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
