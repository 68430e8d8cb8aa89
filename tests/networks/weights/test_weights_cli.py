import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from published_networks import change_source, draw_torch_network

from ferjax.cli.weights import main
from ferjax.data.cache import cache_dir
from ferjax.errors import UserError
from ferjax.networks import weights as pretrained
from ferjax.networks.sources import File
from ferjax.networks.weights import Weights, converted

# Orbax's threads complain of the damaged files behind their test, at times within the next one.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def folder(vgg11_file, tmp_path, capsys):
    assert main([str(vgg11_file), "--output", str(tmp_path / "vgg11")]) == 0
    capsys.readouterr()
    return tmp_path / "vgg11"


def test_a_file_is_converted_and_said_what_it_is(vgg11_file, capsys):
    folder = cache_dir() / "weights" / "vgg11-torchvision"
    assert main([str(vgg11_file)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    sha256 = hashlib.sha256(vgg11_file.read_bytes()).hexdigest()
    assert sha256 in out
    assert "vgg11 of torchvision" in out
    assert "16 tensors, 9.22 M parameters: block1_conv1/{bias,kernel}, block2_conv1" in out
    assert "classifier.{0,3,6}.{bias,weight}" in out
    assert "--config.input.scaling=imagenet_torch" in out
    assert f"--config.init.pretrained={folder}\n" in out
    assert sorted(path.name for path in folder.parent.iterdir()) == ["vgg11-torchvision"]
    from_file, from_folder = (pretrained.load(str(path), "vgg11") for path in (vgg11_file, folder))
    assert from_folder.path == str(folder)
    for key in ("source", "model", "scaling", "sha256", "ignored", "batch_stats"):
        assert getattr(from_folder, key) == getattr(from_file, key)
    for layer, tensors in from_file.params.items():
        for name, values in tensors.items():
            np.testing.assert_array_equal(from_folder.params[layer][name], values)
    shutil.rmtree(folder)


def test_batch_norm_and_its_statistics_are_converted(tmp_path):
    import safetensors.torch

    state = draw_torch_network("vgg11_bn").state_dict()
    safetensors.torch.save_file(state, tmp_path / "file")
    assert main([str(tmp_path / "file"), "--output", str(tmp_path / "folder")]) == 0
    weights = pretrained.load(str(tmp_path / "folder"), "vgg11_bn")
    np.testing.assert_array_equal(weights.batch_stats["block1_norm1"]["var"], state["features.1.running_var"].numpy())
    np.testing.assert_array_equal(weights.params["block1_norm1"]["scale"], state["features.1.weight"].numpy())


def test_a_converted_folder_is_replaced_and_others_are_not(folder, capsys):
    before = os.stat(folder).st_ino
    assert main([str(folder), "--output", str(folder)]) == 0  # onto itself
    assert os.stat(folder).st_ino != before
    assert [path.name for path in folder.parent.iterdir()] == ["vgg11"]
    (folder / "mine.json").touch()  # beside the conversion itself
    assert main([str(folder), "--output", str(folder)]) == 1
    assert "holds something else" in capsys.readouterr().err
    assert (folder / "mine.json").exists()


@pytest.mark.parametrize("note", [None, "mine", "{}", "[]", '{"model": "vgg11", "source": "torchvision"}'])
def test_a_folder_that_only_looks_converted_is_not_replaced(note, tmp_path):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "mine").touch()
    if note is not None:
        (tmp_path / "weights.json").write_text(note)
    weights = Weights({}, {}, "torchvision", "vgg11", "imagenet_torch", "0", (), "")
    with pytest.raises(UserError, match="holds something else"):
        converted.write(weights, tmp_path)
    assert (tmp_path / "checkpoint" / "mine").exists()


@pytest.fixture
def fixed_digest(folder, monkeypatch):
    """A conversion in the default place, and the digest that torchvision's file is known by set to that of its file."""
    place = converted.default_folder("torchvision", "vgg11")
    place.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(place)
    digest = ("sha256", json.loads((place / "weights.json").read_text())["sha256"][:8])
    file = File("vgg11-a.pth", "http://127.0.0.1:9/file", digest)
    change_source(monkeypatch, "vgg11", "torchvision", files=(file,))
    yield place
    shutil.rmtree(place)


def test_a_published_word_takes_its_conversion(fixed_digest):
    assert pretrained.load("torchvision", "vgg11").path == str(fixed_digest)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source": "timm"}, "holds the weights of timm, not of torchvision"),
        ({"model": "vgg13"}, "holds the weights of vgg13, not of vgg11"),
        ({"sha256": "0"}, "There are no weights of torchvision's vgg11 here"),
        ({"sha256": 0}, "is damaged"),
    ],
)
def test_a_published_word_takes_no_other_conversion(changed, message, fixed_digest, caplog):
    note = json.loads((fixed_digest / "weights.json").read_text())
    (fixed_digest / "weights.json").write_text(json.dumps(note | changed))
    with pytest.raises(UserError, match=message):
        pretrained.load("torchvision", "vgg11")
    assert ("is of another file than torchvision publishes" in caplog.text) == (changed.get("sha256") == "0")


def test_a_folder_of_another_network_or_a_damaged_one_is_refused(folder, capsys):
    assert main([str(folder), "--model", "vgg13"]) == 1
    assert "holds the weights of vgg11, not of vgg13" in capsys.readouterr().err
    for path in (folder / "checkpoint").rglob("*"):
        if path.is_file() and path.parent.name == "d":
            path.write_bytes(path.read_bytes()[:100])
    assert main([str(folder)]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"ferjax: {folder} is damaged")
    assert err.count("\n") == 1
    (folder / "weights.json").write_text(json.dumps({"model": 3}))
    assert main([str(folder)]) == 1
    assert "is damaged" in capsys.readouterr().err


def test_mistakes_end_in_a_sentence_and_exit_1(tmp_path, vgg11_file, capsys):
    assert main([str(tmp_path / "nowhere")]) == 1
    assert capsys.readouterr().err.startswith("ferjax: There are no weights at")
    (tmp_path / "file").write_text("")
    assert main([str(vgg11_file), "--output", str(tmp_path / "file" / "folder")]) == 1
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["keras", "--model", "compact"], ["keras", "x"], ["keras", "--nonsense"]])
def test_wrong_flags_exit_2(argv, capsys):
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert err.startswith("ferjax: ")
    assert err.count("\n") == 1
