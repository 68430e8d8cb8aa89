"""`ferjax export` and `ferjax explain`: what they print, and how they refuse."""

import shutil

import numpy as np
import pytest
from PIL import Image

from ferjax.cli.explain import main as explain
from ferjax.cli.export import main as export
from ferjax.explain import EXPLANATIONS
from ferjax.export import FORMATS
from ferjax.export.onnx_model.storage import STORAGES


def test_export_prints_the_files_and_by_how_much_they_differ(finished_run, tmp_path, capsys):
    assert export([str(finished_run), "-o", str(tmp_path / "out"), "-f", "onnx", "--storage=float32"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("onnx         differs from the network by at most ")
    assert f"  {tmp_path / 'out' / 'model.onnx'}  0." in out


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


@pytest.mark.parametrize(("flag", "sentence"), [("--method=lime", "is not one of grad_cam"), ("--target=joy", "angry")])
def test_what_cannot_be_explained_exits_2(finished_run, tmp_path, capsys, flag, sentence):
    assert explain([str(tmp_path / "x.png"), "--network", str(finished_run), flag]) == 2
    assert sentence in capsys.readouterr().err
