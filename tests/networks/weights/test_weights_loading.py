import errno
import json
import pathlib
import re
import zipfile

import h5py
import jax
import numpy as np
import pytest
import safetensors.numpy
from published_networks import change_source, create_variables

from ferjax.errors import UserError
from ferjax.networks import weights as pretrained
from ferjax.networks.weights import formats as files
from ferjax.networks.weights import merging
from ferjax.networks.weights.hdf5_heaps import has_ring


@pytest.fixture(scope="module")
def weights(vgg11_file):
    return pretrained.load(str(vgg11_file), "vgg11")


def change(path, folder, **changed):
    """A copy of a .safetensors file with some tensors replaced, or left out where they are None."""
    tensors = safetensors.numpy.load_file(path) | changed
    kept = {name: values for name, values in tensors.items() if values is not None}
    safetensors.numpy.save_file(kept, folder / "changed.safetensors")
    return folder / "changed.safetensors"


def test_merge_puts_every_weight_in_its_place(weights):
    variables = create_variables("vgg11")
    merged, report = pretrained.merge(variables, weights)
    assert jax.tree.structure(merged) == jax.tree.structure(variables)
    assert list(merged["params"]) == list(variables["params"])
    assert all(isinstance(leaf, jax.Array) and leaf.dtype == np.float32 for leaf in jax.tree.leaves(merged))
    for layer, tensors in weights.params.items():
        for name, values in tensors.items():
            np.testing.assert_array_equal(merged["params"][layer][name], values)
    np.testing.assert_array_equal(merged["params"]["head"]["output"]["kernel"], 0.5)
    assert (variables["params"]["block1_conv1"]["kernel"] == 0.5).all()  # what was given is left as it was
    assert set(report.loaded) == {f"{layer}/{name}" for layer in weights.params for name in ("kernel", "bias")}
    assert report.initialised == ("head/output/bias", "head/output/kernel")
    assert (report.loaded_parameters, report.initialised_parameters) == (9_220_480, 3_591)


def test_the_report_is_short_and_whole(weights):
    text = str(pretrained.merge(create_variables("vgg11"), weights)[1])
    assert text.splitlines() == [
        "loaded      16 tensors, 9.220 M parameters: block1_conv1/{bias,kernel}, block2_conv1/{bias,kernel}, "
        "block3_conv1..2/{bias,kernel}, block4_conv1..2/{bias,kernel}, block5_conv1..2/{bias,kernel}",
        "initialised 2 tensors, 0.004 M parameters: head/output/{bias,kernel}",
        "ignored     6 tensors of the file: classifier.{0,3,6}.{bias,weight}",
    ]


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["a1/bias", "a1/kernel", "a2/bias", "a2/kernel"], "a1..2/{bias,kernel}"),
        (["features.1.n", "features.4.n"], "features.{1,4}.n"),
        (["fc1/kernel", "fc2/kernel", "fc2/bias"], "fc1/kernel, fc2/{bias,kernel}"),
        (["scale"], "scale"),
        ([], ""),
    ],
)
def test_names_are_abbreviated(names, short):
    assert merging.abbreviate(names) == short


def test_dense_layers_of_a_head_are_new(weights):
    _, report = pretrained.merge(create_variables("vgg11", hidden=(8,)), weights)
    assert {name.split("/")[1] for name in report.initialised} == {"hidden1", "output"}


def test_another_width_is_listed_with_both_shapes(weights):
    with pytest.raises(UserError, match=r"model\.width=1\.0") as error:
        pretrained.merge(create_variables("vgg11", width=0.5), weights)
    assert "block1_conv1/kernel [3, 3, 3, 64] than the network's [3, 3, 3, 32]" in str(error.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("vgg13", "no weights for block1_conv2/bias [64]"),
        ("vgg11_bn", "no weights for block1_norm1/mean [64], block1_norm1/var [64]"),
        ("compact", "no place for block1_conv1/bias [64]"),
    ],
)
def test_another_network_is_refused(model, message, weights):
    with pytest.raises(UserError, match=re.escape(message)):
        pretrained.merge(create_variables(model), weights)


def test_nothing_is_there(tmp_path):
    with pytest.raises(UserError, match=r"no weights at .*nowhere"):
        pretrained.load(str(tmp_path / "nowhere.h5"), "vgg11")
    with pytest.raises(UserError, match=r"holds no weights\.json"):
        pretrained.load(str(tmp_path), "vgg11")


@pytest.mark.parametrize(("weights", "others"), [("keras", "vgg16, vgg19"), ("timm", "vgg11, vgg13")])
def test_a_network_without_published_weights_is_said(weights, others):
    with pytest.raises(UserError, match=r"model\.name=compact, only for vgg11, vgg13"):
        pretrained.load(weights, "compact")
    if weights == "keras":
        with pytest.raises(UserError, match=f"only of {others}.*torchvision or timm"):
            pretrained.load(weights, "vgg19_bn")


@pytest.mark.parametrize(
    ("weights", "model", "width", "message"),
    [
        ("keras", "compact", 1.0, "no published weights for model.name=compact"),
        ("keras", "vgg19_bn", 1.0, "keras publishes no weights of vgg19_bn"),
        ("timm", "vgg19_bn", 0.5, "model.width is 0.5: set model.width=1.0"),
        ("nowhere", "vgg11", 1.0, "no weights at nowhere: init.pretrained is 'none'"),
        ("vgg13", "vgg11", 1.0, "vgg13 holds the weights of vgg13, not of vgg11"),
        (".", "vgg11", 1.0, "holds no weights.json"),
    ],
)
def test_what_cannot_be_had_is_said_before_anything_slow(weights, model, width, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vgg13").mkdir()
    note = {"source": "timm", "model": "vgg13", "scaling": "imagenet_torch", "sha256": "0", "ignored": []}
    (tmp_path / "vgg13" / "weights.json").write_text(json.dumps(note))
    with pytest.raises(UserError, match=re.escape(message)):
        pretrained.check(weights, model, width)


@pytest.mark.parametrize(
    ("weights", "model", "width"),
    [("none", "compact", 0.5), ("timm", "vgg19_bn", 1.0), ("keras", "vgg16", 1.0), ("file", "vgg13_bn", 1.0)],
)
def test_the_check_reads_and_gets_nothing(weights, model, width, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("neither .pth nor .h5")
    pretrained.check(weights, model, width)


def test_another_architecture_is_named(vgg11_file):
    with pytest.raises(UserError, match=r"vgg11\.safetensors holds the weights of vgg11, not of vgg13"):
        pretrained.load(str(vgg11_file), "vgg13")


def test_a_strange_network_is_listed(tmp_path):
    names = [f"layer{number}.conv.weight" for number in range(9)]
    safetensors.numpy.save_file({name: np.zeros((2, 3), np.float32) for name in names}, tmp_path / "other")
    with pytest.raises(UserError) as error:
        pretrained.load(str(tmp_path / "other"), "vgg11")
    assert "no place for layer0.conv.weight [2, 3], layer1" in str(error.value)
    assert "and 3 more; no features.0.weight [64, 3, 3, 3]" in str(error.value)


def test_caffes_weights_in_torchs_layout_keep_their_scaling(vgg11_file, weights, monkeypatch):
    assert weights.scaling == "imagenet_torch"
    change_source(monkeypatch, "vgg11", "torchvision", other_scalings={weights.sha256[:8]: "imagenet_caffe"})
    assert pretrained.load(str(vgg11_file), "vgg11").scaling == "imagenet_caffe"
    change_source(monkeypatch, "vgg11", "torchvision", other_scalings={weights.sha256[:8]: None})
    with pytest.raises(UserError, match=r"input\.scaling does not have"):
        pretrained.load(str(vgg11_file), "vgg11")


def test_a_missing_and_a_misshapen_tensor_are_listed(vgg11_file, tmp_path):
    changed = {"features.0.weight": np.zeros((64, 1, 3, 3), np.float32), "features.3.bias": None}
    path = change(vgg11_file, tmp_path, **changed)
    with pytest.raises(UserError) as error:
        pretrained.load(str(path), "vgg11")
    assert "there is no features.3.bias [128]" in str(error.value)
    assert "features.0.weight [64, 1, 3, 3] of float32 instead of [64, 3, 3, 3]" in str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value, vgg11_file, tmp_path):
    bias = np.zeros(128, np.float32)
    bias[7] = value
    path = change(vgg11_file, tmp_path, **{"features.3.bias": bias})
    with pytest.raises(UserError, match=r"features\.3\.bias holds NaN or infinite"):
        pretrained.load(str(path), "vgg11")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>not found", "it is no .h5, .pth or .safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\0" * 257 + b"ustar\0", "it is a tar"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "cannot be read"),
        (b"PK\x03\x04" + b"\0" * 100, "cannot be read"),
        (b"\x80\x02]q\x00.", "not one of torch"),
        (b"\x80\x02" + b"(" * 10, "cannot be read"),
        ((100).to_bytes(8, "little") + b'{"a":', "cannot be read"),
    ],
)
def test_other_files_are_refused(content, message, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UserError, match=re.escape(message)) as error:
        pretrained.load(str(tmp_path / "file"), "vgg11")
    assert str(error.value).startswith(str(tmp_path / "file"))
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_opened_is_not_called_damaged(tmp_path, vgg11_file, monkeypatch):
    with (
        pytest.raises(UserError, match=r"cannot be read \(Is a directory\): make it readable"),
        files.open_tensors(tmp_path),
    ):
        pass

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    for method in ("open", "stat"):
        with monkeypatch.context() as patch:
            patch.setattr(pathlib.Path, method, refuse)
            with pytest.raises(UserError, match=r"cannot be read \(Permission denied\): make it readable"):
                pretrained.load(str(vgg11_file), "vgg11")


def test_a_zip_that_lost_bytes_is_damaged(tmp_path):
    with zipfile.ZipFile(tmp_path / "file", "w") as file:
        file.writestr("weights/version", bytes(1000))
        file.writestr("weights/data.pkl", b"")
    content = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(content[:100] + content[200:])  # so that it names a place before its start
    with pytest.raises(UserError, match="damaged, so delete it"):
        pretrained.load(str(tmp_path / "file"), "vgg11")


def test_an_h5_file_whose_list_of_free_places_is_a_ring_is_refused(tmp_path):
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file["block1_conv1/kernel"] = np.zeros((3, 3, 3, 64), np.float32)
    assert not has_ring(path)
    content = bytearray(path.read_bytes())
    heap = content.rindex(b"HEAP")
    size, free, place = (int.from_bytes(content[heap + at : heap + at + 8], "little") for at in (8, 16, 24))
    assert free < size
    content[place + free : place + free + 8] = free.to_bytes(8, "little")  # h5py would read it for ever
    path.write_bytes(content)
    assert has_ring(path)
    with pytest.raises(UserError, match=r"cannot be read \(a list in it has no end\): it may be cut off or damaged"):
        pretrained.load(str(path), "vgg11")


def test_an_h5_file_with_more_free_places_than_bytes_is_not_searched_for_ever(tmp_path):
    # Heaps that share one list: each is short, and all of them together would take as long as whoever made it likes.
    path, places, heaps = tmp_path / "weights.h5", 30, 40
    following = [*(16 * (place + 1) for place in range(places - 1)), 1]
    shared = b"".join(after.to_bytes(8, "little") + (16).to_bytes(8, "little") for after in following)
    superblock = b"\x89HDF\r\n\x1a\n" + bytes(5) + b"\x08\x08" + bytes(17)
    heap = b"HEAP" + bytes(4) + b"".join(value.to_bytes(8, "little") for value in (len(shared), 0, len(superblock)))
    path.write_bytes(superblock + shared + heap)
    assert not has_ring(path)
    path.write_bytes(superblock + shared + heap * heaps)
    assert has_ring(path)


def test_a_truncated_safetensors_file_is_refused(vgg11_file, tmp_path):
    path = tmp_path / "short"
    path.write_bytes(vgg11_file.read_bytes()[:-1000])
    with pytest.raises(UserError, match="get it again"):
        pretrained.load(str(path), "vgg11")
