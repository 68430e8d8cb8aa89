import contextlib
import io
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from published_networks import (
    CONFIGS,
    compute_features,
    create_torch_network,
    create_variables,
    difference,
    draw_images,
    draw_torch_network,
)

from ferjax.errors import UserError
from ferjax.networks import weights as pretrained
from ferjax.networks.vgg import NETWORKS
from ferjax.networks.weights import torch_file
from ferjax.networks.weights.published_file import recognise
from ferjax.networks.weights.tensors import Tensor, Unreadable


def save(state, path, *, zipped):
    import torch

    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    assert zipfile.is_zipfile(path) == zipped
    return path


def read(path):
    reader = torch_file.read_zip if zipfile.is_zipfile(path) else torch_file.read_legacy
    return {name: tensor.read() for name, tensor in reader(path).items()}


@pytest.mark.parametrize("name", [name + tail for name in CONFIGS for tail in ("", "_bn")])
def test_names_and_shapes_are_torchs(name):
    import torch

    with torch.device("meta"):
        state = create_torch_network(name).state_dict()
    for word, form in (("torchvision", "torch"), ("timm", "safetensors")):
        table = NETWORKS[name].published[word].table
        assert {key: place.published_shape for key, place in table.items()} == {
            key: tuple(tensor.shape)
            for key, tensor in state.items()
            if key.startswith("features") and not key.endswith("num_batches_tracked")
        }
        tensors = {key: Tensor(place.published_shape, np.dtype("f4"), np.zeros) for key, place in table.items()}
        found = recognise(form, tensors)
        assert (found.model, found.source_name) == (name, word)
    source = NETWORKS[name].published["torchvision"]
    assert all(source.has_no_place(key) != (key in table) for key in state)
    variables = create_variables(name)
    for place in table.values():
        layer, _, parameter = place.path.partition("/")
        assert parameter in variables[place.collection][layer]


# The published files of vgg19 and of the batch-normed ones are in the old format.
@pytest.mark.parametrize("name", ["vgg19", "vgg11_bn"])
def test_features_equal_torchs(name, tmp_path):
    import torch

    network = draw_torch_network(name)
    path = save(network.state_dict(), tmp_path / "weights.pth", zipped=False)
    weights = pretrained.load(str(path), name)
    assert (weights.source, weights.model, weights.scaling) == ("torchvision", name, "imagenet_torch")
    variables, merge = pretrained.merge(create_variables(name), weights)
    images = draw_images()
    with torch.no_grad():
        expected = network["features"](torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    assert difference(compute_features(name, variables, images).transpose(0, 3, 1, 2), expected) < 1e-4
    assert set(merge.initialised) == {"head/output/bias", "head/output/kernel"}
    kinds = {"classifier"} | ({"num_batches_tracked"} if name.endswith("_bn") else set())
    assert {part for name in merge.ignored for part in name.split(".")} >= kinds
    assert len(merge.ignored) == 6 + (8 if name.endswith("_bn") else 0)


def test_every_form_of_a_file_gives_the_same_weights(tmp_path, vgg11_file):
    import torch

    state = draw_torch_network("vgg11").state_dict()
    timm = {name: tensor.numpy() for name, tensor in state.items() if name.startswith("features")}
    timm |= {"pre_logits.fc1.weight": np.zeros((4, 4, 7, 7), np.float32), "head.fc.bias": np.zeros(3, np.float32)}
    safetensors.numpy.save_file(timm, tmp_path / "timm.bin")
    parameters = {name: torch.nn.Parameter(tensor) for name, tensor in state.items()}
    loaded = {
        path.name: pretrained.load(str(path), "vgg11")
        for path in (
            tmp_path / "timm.bin",
            vgg11_file,
            save(state, tmp_path / "zip", zipped=True),
            save(state, tmp_path / "legacy", zipped=False),
            save(parameters, tmp_path / "parameters", zipped=False),
            save({name: tensor.double() for name, tensor in state.items()}, tmp_path / "double", zipped=True),
        )
    }
    assert {name: weights.source for name, weights in loaded.items()} == {
        **dict.fromkeys(loaded, "torchvision"),
        "timm.bin": "timm",
    }
    assert set(loaded["timm.bin"].ignored) == {"pre_logits.fc1.weight", "head.fc.bias"}
    assert len({weights.sha256 for weights in loaded.values()}) == 6
    for weights in loaded.values():
        assert weights.params.keys() == loaded["zip"].params.keys()
        for layer, tensors in weights.params.items():
            for name, values in tensors.items():
                assert values.dtype == np.float32
                np.testing.assert_array_equal(values, loaded["zip"].params[layer][name])
    kernel = state["features.3.weight"].numpy()
    np.testing.assert_array_equal(loaded["zip"].params["block2_conv1"]["kernel"][1, 2, 3, 4], kernel[4, 3, 1, 2])


@pytest.mark.parametrize("zipped", [True, False])
def test_any_tensor_comes_out_as_torch_has_it(zipped, tmp_path):
    import torch

    base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    state = {
        "plain": base,
        "transposed": base.permute(2, 0, 1),
        "slice": base[1, 1:, ::2],  # shares the storage, from its middle
        "half": base.half(),
        "bfloat16": base.bfloat16(),
        "count": torch.tensor(7),
        "empty": torch.zeros(0, 3),
    }
    found = read(save(state, tmp_path / "file", zipped=zipped))
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name].astype(np.float32), tensor.float().numpy())
        assert found[name].shape == tuple(tensor.shape)


class OldTensor:
    """A tensor as torch 0.1 pickled it: rebuilt by `_rebuild_tensor`, on a storage that is a part of another one."""

    def __init__(self, view):
        self.view = view

    def __reduce__(self):
        import torch

        return torch._utils._rebuild_tensor, (self.view, 1, (2, 3), (3, 1))


def write_legacy(path, state, storages, persistent):
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return persistent.get(id(obj))

    with path.open("wb") as file:
        for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(value, file, protocol=2)
        Pickler(file, protocol=2).dump(state)
        pickle.dump(list(storages), file, protocol=2)
        for values in storages.values():
            file.write(np.int64(values.size).tobytes() + values.tobytes())
    return path


def test_files_of_torch_0_1_are_read(tmp_path):
    import torch

    view = object()
    name = ("storage", torch.FloatStorage, "1234", "cpu", 20, ("5678", 5, 10))
    values = np.arange(20, dtype=np.float32)
    path = write_legacy(tmp_path / "old", {"a": OldTensor(view)}, {"1234": values}, {id(view): name})
    np.testing.assert_array_equal(read(path)["a"], values[6:12].reshape(2, 3))
    assert torch.equal(torch.load(path)["a"], torch.from_numpy(values[6:12].reshape(2, 3)))


@pytest.mark.parametrize(
    ("size", "view"),
    [(20, ("5678", 5, 6)), (20, ("5678", 15, 10)), (30, None), (20, ("5678", -3, 10)), (-1, None)],
)
def test_a_storage_that_is_too_small_is_refused(size, view, tmp_path):
    import torch

    marker = object()
    name = ("storage", torch.FloatStorage, "1234", "cpu", size, view)
    storages = {"1234": np.arange(20, dtype=np.float32)}
    path = write_legacy(tmp_path / "old", {"a": OldTensor(marker)}, storages, {id(marker): name})
    with pytest.raises(Unreadable, match="storage"):
        read(path)


def rename_storage(tmp_path, *kinds):
    """A legacy file of one storage of 20 bytes that each of its tensors names as another kind."""
    markers = [object() for _ in kinds]
    names = {id(marker): ("storage", kind, "1", "cpu", 20, None) for marker, kind in zip(markers, kinds, strict=True)}
    state = {str(i): OldTensor(marker) for i, marker in enumerate(markers)}
    return write_legacy(tmp_path / "old", state, {"1": np.arange(20, dtype=np.uint8)}, names)


def test_a_storage_of_two_kinds_is_refused(tmp_path):
    import torch

    with pytest.raises(Unreadable, match="named both as DoubleStorage and as ByteStorage"):
        read(rename_storage(tmp_path, torch.DoubleStorage, torch.ByteStorage))
    np.testing.assert_array_equal(read(rename_storage(tmp_path, torch.ByteStorage))["0"], [[1, 2, 3], [4, 5, 6]])


def test_a_zip_that_lies_of_a_storages_size_is_refused(tmp_path):
    import torch

    path = save({"a": torch.zeros(2048, dtype=torch.uint8)}, tmp_path / "weights.pth", zipped=True)
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "short", "w") as short:
        for name in whole.namelist():
            short.writestr(name, whole.read(name)[: 1024 if name.endswith("data/0") else None])
    content = (tmp_path / "short").read_bytes()
    sizes = np.array([1024, 1024], "<u4").tobytes()  # compressed and not, last in the central directory
    before, after = content.rsplit(sizes, 1)
    path.write_bytes(before + np.array([1024, 2048], "<u4").tobytes() + after)
    with pytest.raises(Unreadable, match="storage 0 ends before a tensor"):
        read(path)


class Attack:
    """Runs a program when an ordinary unpickler meets it."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("function", [os.system, exec, getattr])
def test_a_pickle_runs_nothing(zipped, function, tmp_path):
    trace = tmp_path / "trace"
    first = {os.system: f"touch {trace}", exec: f"open({str(trace)!r}, 'w')"}.get(function, "x")
    state = {"attack": Attack(function, first)}
    path = save(state, tmp_path / "weights.pth", zipped=zipped)
    with pytest.raises(UserError, match=rf"asks for \S*{function.__name__}, which is no tensor"):
        pretrained.load(str(path), "vgg11")
    assert not trace.exists()


@pytest.mark.parametrize("given", [b"torch._utils\n_rebuild_tensor_v2", b"torch._utils\n_rebuild_parameter"])
def test_a_pickle_changes_nothing_in_the_reader(given, tmp_path):
    # GLOBAL, then BUILD with (None, {'__defaults__': ()}), which sets an attribute of what GLOBAL gave.
    attack = b"\x80\x02c" + given + b"\nN}X\x0c\x00\x00\x00__defaults__)s\x86b."
    path = tmp_path / "file"
    path.write_bytes(b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {})) + attack)
    with pytest.raises(UserError, match="no state dict but function"):
        pretrained.load(str(path), "vgg11")
    unpickler, (module, name) = torch_file._Unpickler(io.BytesIO()), given.decode().split("\n")
    assert unpickler.find_class(module, name).__defaults__ is None


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"epoch": 3}, "'epoch' is no tensor but int 3"),
        ({"state_dict": {"features.0.weight": 0}}, "'state_dict' is no tensor but a dictionary"),
        ([1], "no state dict but list"),
    ],
)
def test_other_pickles_are_refused(zipped, state, message, tmp_path):
    path = save(state, tmp_path / "weights.pth", zipped=zipped)
    with pytest.raises(UserError, match=message) as error:
        pretrained.load(str(path), "vgg11")
    assert str(path) in str(error.value)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [0.01, 0.5, 0.9999])
def test_a_truncated_file_is_refused(zipped, kept, tmp_path):
    import torch

    path = save({"features.0.weight": torch.zeros(200, 200)}, tmp_path / "weights.pth", zipped=zipped)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(UserError, match=r"weights\.pth cannot be"):
        pretrained.load(str(path), "vgg11")


def test_a_changed_byte_in_a_zip_is_noticed(tmp_path):
    path = save(draw_torch_network("vgg11").state_dict(), tmp_path / "weights.pth", zipped=True)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"CRC.*get it again"):
        pretrained.load(str(path), "vgg11")


def allocate(path):
    """The most bytes that reading a file takes, and the sentence that refuses it."""
    with contextlib.suppress(UserError):
        pretrained.load(str(path), "vgg11")  # whatever is imported for it
    tracemalloc.start()
    try:
        with pytest.raises(UserError) as refused:
            pretrained.load(str(path), "vgg11")
        return tracemalloc.get_traced_memory()[1], str(refused.value)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("zipped", [True, False])
def test_an_objects_number_makes_no_large_array(zipped, tmp_path):
    # An empty list, kept as number 2**27, of an array of as many pointers.
    attack = b"\x80\x02]r" + (1 << 27).to_bytes(4, "little") + b"."
    path = tmp_path / "weights.pth"
    if zipped:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("weights/data.pkl", attack)
    else:
        path.write_bytes(attack)
    peak, said = allocate(path)
    assert peak < 1e6
    assert "keeps an object as number" in said


def test_a_packed_or_damaged_zip_makes_no_large_array(tmp_path):
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("weights/data.pkl", bytes(50_000_000))
    peak, said = allocate(path)
    assert peak < 1e6
    assert "it is a packed zip" in said
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("weights/data.pkl", pickle.dumps({}, 2))
    content = bytearray(path.read_bytes())
    content[-10:-6] = (100_000_000).to_bytes(4, "little")  # the size of the list of entries
    path.write_bytes(content)
    peak, said = allocate(path)
    assert peak < 1e6


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.weights.h5", r"a whole model of Keras: load it there, and call model.save_weights"),
        ("weights.h5", "but weights.h5, which must be unpacked"),
        ("readme.txt", "there is no data.pkl in it"),
    ],
)
def test_a_zip_of_another_kind_says_the_way_out(tmp_path, name, said):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(name, b"")
    with pytest.raises(UserError, match=said):
        pretrained.load(str(path), "vgg11")


def test_a_value_whose_text_has_no_end_is_refused(tmp_path):
    # A list that holds itself twice, forty times over: its text would have 2**40 parts.
    lists = b"]q\x000" + b"".join(b"]q%c(h%ch%ce0" % (i, i - 1, i - 1) for i in range(1, 40))
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("weights/data.pkl", b"\x80\x02}U\x04name" + lists + b"h\x27s.")
    with pytest.raises(UserError, match="'name' is no tensor but list"):
        pretrained.load(str(path), "vgg11")


def test_a_name_with_a_line_break_stays_in_its_sentence(tmp_path):
    path = save({"a\nb": 3}, tmp_path / "weights.pth", zipped=True)
    with pytest.raises(UserError, match=r"^\S*/weights\.pth cannot be used: 'a\\nb' is no tensor but int 3: .*\.$"):
        pretrained.load(str(path), "vgg11")
