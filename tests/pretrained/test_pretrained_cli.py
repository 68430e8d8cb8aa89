import hashlib
import json
import os
import shutil

import numpy as np
import pytest

from ferjax import pretrained
from ferjax.data.cache import cache_dir
from ferjax.pretrained.__main__ import main


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
    assert "--config.data.scaling=imagenet_torch" in out
    assert f"--config.model.pretrained={folder}\n" in out
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
    from published_networks import draw_torch_network

    state = draw_torch_network("vgg11_bn").state_dict()
    safetensors.torch.save_file(state, tmp_path / "file")
    assert main([str(tmp_path / "file"), "--output", str(tmp_path / "folder")]) == 0
    weights = pretrained.load(str(tmp_path / "folder"), "vgg11_bn")
    np.testing.assert_array_equal(weights.batch_stats["block1_norm1"]["var"], state["features.1.running_var"].numpy())
    np.testing.assert_array_equal(weights.params["block1_norm1"]["scale"], state["features.1.weight"].numpy())


def test_a_converted_folder_is_replaced_and_others_are_not(folder, vgg11_file, capsys):
    before = os.stat(folder).st_ino
    assert main([str(folder), "--output", str(folder)]) == 0  # onto itself
    assert os.stat(folder).st_ino != before
    assert [path.name for path in folder.parent.iterdir()] == ["vgg11"]
    (folder / "weights.json").rename(folder / "mine.json")
    assert main([str(vgg11_file), "--output", str(folder)]) == 1
    assert "holds something else" in capsys.readouterr().err
    assert (folder / "mine.json").exists()


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
    assert "can't be written" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["keras", "--model", "compact"], ["keras", "x"], ["keras", "--nonsense"]])
def test_wrong_flags_exit_2(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert "usage: python -m ferjax.pretrained" in capsys.readouterr().err
