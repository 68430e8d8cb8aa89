"""`ferjax export` and `ferjax explain`: what they print, and how they refuse."""

import shutil

import numpy as np
import pytest
from PIL import Image

from ferjax.cli.explain import main as explain
from ferjax.cli.export import main as export
from ferjax.documents.words import size
from ferjax.explain import EXPLANATIONS
from ferjax.export import FORMATS
from ferjax.export.onnx_model.storage import STORAGES


def test_export_prints_the_files_and_by_how_much_they_differ(finished_run, tmp_path, capsys):
    assert export([str(finished_run), "-o", str(tmp_path / "out"), "-f", "onnx", "--storage=float32"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("onnx         differs from the network by at most ")
    written = tmp_path / "out" / "model.onnx"
    assert f"  {written}  {size(written.stat().st_size)}\n" in out
    assert "Left" not in out
    (written.parent / "model.stablehlo").touch()
    assert export([str(finished_run), "-o", str(tmp_path / "out"), "-f", "onnx"]) == 0
    said = f"Left in {written.parent} as it was, perhaps of another network: model.stablehlo\n"
    assert capsys.readouterr().out.endswith(said)


def test_without_a_run_what_needs_no_card_is_written(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("ferjax.export.export", lambda run, folder, formats, **_: asked.append((run, formats)) or [])
    assert export(["-o", str(tmp_path)]) == export([str(tmp_path), "-o", str(tmp_path)]) == 0
    without_card = [name for name, each in FORMATS.items() if not each.needs_card]
    assert asked == [(None, tuple(without_card)), (tmp_path, tuple(FORMATS))]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["-f", "onnx,tflite"], 2, f"--formats=tflite is not one of {', '.join(FORMATS)}, all."),
        (["--storage", "int4"], 2, "invalid choice: 'int4'"),
        ([], 1, "No model card is written without measured numbers, and "),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(finished_run, tmp_path, capsys, arguments, code, sentence):
    run = shutil.copytree(finished_run, tmp_path / "run")
    (run / "calibration.json").unlink()
    assert export([str(run), "-o", str(tmp_path / "out"), *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["README.md", "config.json"])
def test_export_replaces_no_file_of_another_kind(finished_run, tmp_path, capsys, name):
    # A run's own folder has a config.json too.
    out = shutil.copytree(finished_run, tmp_path / "run") if name == "config.json" else tmp_path
    if name == "README.md":
        (out / name).write_text("---\nlibrary_name: transformers\n---\n# My project\n")
    before = (out / name).read_bytes()
    assert export([str(finished_run), "-o", str(out), "-f", "safetensors"]) == 1
    assert capsys.readouterr().err.startswith(f"ferjax: {out / name} is not of an earlier export, and would be")
    assert (out / name).read_bytes() == before
    assert not (out / "model.safetensors").exists()


def test_the_help_names_what_there_is(capsys):
    assert export(["--help"]) == explain(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in (*FORMATS, *STORAGES, *EXPLANATIONS))


def test_explain_draws_every_picture_that_it_can_read(finished_run, faces, tmp_path, capsys):
    image = faces[0].images[0, ..., 0]
    Image.fromarray(image).save(tmp_path / "gray.png")
    Image.fromarray(np.stack([image] * 4, -1)).resize((60, 90)).save(tmp_path / "rgba.png")
    (tmp_path / "no picture.png").write_text("nothing")
    names = [str(tmp_path / name) for name in ("no picture.png", "gray.png", "rgba.png")]
    flags = ["--network", str(finished_run), "--target=sad", "--arrays", "--crops", "-o", str(tmp_path / "out")]
    assert explain([*names, *flags]) == 3
    out, _ = capsys.readouterr()
    assert f"{tmp_path / 'gray.png'}  sad " in out
    assert f"  {tmp_path / 'out' / 'rgba_grad_cam.png'}\n" in out
    assert f"{tmp_path / 'no picture.png'}  not a readable image (unknown format)" in out
    assert np.load(tmp_path / "out" / "gray_grad_cam.npy").shape == (48, 48)
    with Image.open(tmp_path / "out" / "rgba_grad_cam.png") as drawn:
        assert drawn.size == (300, 450)


def test_each_picture_of_a_folder_keeps_its_own_map_and_no_file_of_the_user_is_written_over(
    finished_run, faces, tmp_path, capsys
):
    image = Image.fromarray(faces[0].images[0, ..., 0])
    for name in ("a.png", "a.jpg", "more/a.png", "a_1.png", "b_grad_cam.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        image.save(tmp_path / name)
    (tmp_path / "a_1_grad_cam.npy").write_bytes(b"mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    flags = ["--network", str(finished_run), "--crops", "--arrays"]
    printed = []
    for _ in range(2):
        assert explain([str(tmp_path), *flags]) == 0
        printed.append(capsys.readouterr().out.splitlines())
    lines = dict(line.split("  ")[::2] for line in printed[0])
    assert printed[0] == printed[1]
    assert set(lines) == {str(path) for path in before if path.suffix != ".npy"}
    assert lines[str(tmp_path / "more" / "a.png")] == str(tmp_path / "more" / "a_grad_cam.png")
    assert lines[str(tmp_path / "a.png")] == str(tmp_path / "a_grad_cam_2.png")
    assert lines[str(tmp_path / "a_1.png")] == str(tmp_path / "a_1_grad_cam_2.png")
    assert lines[str(tmp_path / "b_grad_cam.png")] == str(tmp_path / "b_grad_cam_grad_cam.png")
    made = {path for path in tmp_path.rglob("*.*") if path not in before}
    assert made == {
        path for name in lines.values() for path in (tmp_path / name, (tmp_path / name).with_suffix(".npy"))
    }
    assert {path: path.read_bytes() for path in before} == before
    # Explained one by one, namesakes keep a map each too.
    assert explain([str(tmp_path / "a.jpg"), *flags, "-o", str(tmp_path / "out")]) == 0
    assert explain([str(tmp_path / "a.png"), *flags, "-o", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("a_grad_cam.npy", "a_grad_cam.png", "a_grad_cam_2.npy", "a_grad_cam_2.png"),
    ]


def test_a_name_with_a_line_break_stays_on_one_line(finished_run, faces, tmp_path, capsys):
    Image.fromarray(faces[0].images[0, ..., 0]).save(tmp_path / "two\nlines.png")
    assert explain([str(tmp_path), "--network", str(finished_run), "--crops"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("two\\nlines_grad_cam.png")


@pytest.mark.parametrize(("flag", "sentence"), [("--method=lime", "is not one of grad_cam"), ("--target=joy", "angry")])
def test_what_cannot_be_explained_exits_2(finished_run, tmp_path, capsys, flag, sentence):
    assert explain([str(tmp_path / "x.png"), "--network", str(finished_run), flag]) == 2
    assert sentence in capsys.readouterr().err
