"""A run's network in other programs: each format, loaded in its own runtime, gives the network's probabilities."""

import builtins
import dataclasses
import json
import shutil
import sys

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest

import ferjax
from ferjax.data.datasets.synthetic import draw
from ferjax.errors import UserError
from ferjax.export import FORMATS, export, format
from ferjax.export.format import Exported, prepare
from tests.answers import close


@pytest.fixture(scope="module")
def exported(reported_run, tmp_path_factory):
    """The folder with every format of a tiny run."""
    folder = tmp_path_factory.mktemp("exported") / "new" / "folder"
    export(reported_run, folder)
    return folder


@pytest.fixture(scope="module")
def images(faces):
    return faces[0].images[:30]


def test_every_format_is_written_and_nothing_else(exported):
    assert {path.name for path in exported.iterdir()} == {file for each in FORMATS.values() for file in each.files}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_gives_the_networks_probabilities(exported, network, images, name):
    run = FORMATS[name].load(exported)
    close(run(images), network(images), 1e-5)
    close(run(images[:1]), network(images[:1]), 1e-5)


def test_onnx_is_used_as_its_metadata_says(exported, network, images):
    session = onnxruntime.InferenceSession(str(exported / "model.onnx"), providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(facts["classes"])) == network.classes
    assert float(facts["temperature"]) == network.temperature != 1
    assert float(facts["unsure_below"]) == network.unsure_below
    (answer,) = session.run(["probabilities"], {"images": images})
    close(answer.sum(1), 1, 1e-5)


def test_stablehlo_needs_no_ferjax_and_is_for_every_platform(exported, network, images):
    program = jax.export.deserialize(bytearray((exported / "model.stablehlo").read_bytes()))
    assert program.platforms == ("cpu", "cuda", "tpu")
    assert str(program.in_avals[0]) == "uint8[n,48,48,1]"
    assert "gather" not in program.mlir_module(), "a slice of an image, however many there are"
    close(program.call(images), network(images), 1e-5)


def test_the_weights_say_what_a_program_needs_and_no_folder_of_this_machine(exported, network, reported_run):
    config = json.loads((exported / "config.json").read_text())
    assert list(config["id2label"].values()) == list(network.classes)
    assert (config["image_size"], config["num_channels"], config["scaling"]) == ([48, 48], 1, "minmax")
    assert config["temperature"] == network.temperature
    assert config["model"]["name"] == "compact"
    loaded = ferjax.load(exported / "model.safetensors")
    assert (loaded.temperature, loaded.unsure_below) == (network.temperature, network.unsure_below)
    folder = str(reported_run.parent).encode()
    assert not [path.name for path in exported.iterdir() if folder in path.read_bytes()]


def test_a_folder_of_a_model_hub_is_loaded_by_its_name(exported, network, images):
    close(ferjax.load(exported)(images), network(images), 1e-6)


@pytest.mark.slow
def test_views_are_within(finished_run, network, images, tmp_path):
    export(finished_run, tmp_path, ["onnx"], views="mirror", storage="float32")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    close(FORMATS["onnx"].load(tmp_path)(images), network(images, views="mirror"), 1e-5)


def test_bfloat16_is_exported_in_float32(network):
    half = dataclasses.replace(network, module=network.module.clone(dtype=jnp.bfloat16))
    assert prepare(half).module.dtype == jnp.float32
    images = jnp.zeros((1, 48, 48, 1), jnp.uint8)
    assert jax.eval_shape(Exported(prepare(half)).predict, images).dtype == jnp.float32


def test_the_weights_of_a_run_in_bfloat16_are_loaded_as_they_were_exported(reported_run, network, images, tmp_path):
    run = shutil.copytree(reported_run, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["model"]["dtype"] = "bfloat16"
    (run / "config.json").write_text(json.dumps(config))
    assert ferjax.load(run).module.dtype == jnp.bfloat16
    export(run, tmp_path / "out", ["safetensors"])
    close(ferjax.load(tmp_path / "out")(images), network(images), 1e-6)


@pytest.mark.parametrize("name", ["onnx", "safetensors"])
def test_what_does_not_agree_is_not_written(reported_run, tmp_path, monkeypatch, name):
    monkeypatch.setattr(format, "TOLERANCE", -1.0)
    with pytest.raises(UserError, match=rf"{FORMATS[name].files[0]} would give probabilities that differ by \d"):
        export(reported_run, tmp_path, [name])
    assert not list(tmp_path.iterdir())


def test_a_file_of_a_network_is_exported_too_but_without_a_card(network, images, tmp_path):
    network.save(tmp_path / "network.safetensors")
    export(tmp_path / "network.safetensors", tmp_path / "out", ["onnx"])
    close(FORMATS["onnx"].load(tmp_path / "out")(images), network(images), 1e-5)
    with pytest.raises(UserError, match=r"network\.safetensors is no run's folder, .* with -f onnx,stablehlo\."):
        export(tmp_path / "network.safetensors", tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert [name for name, each in FORMATS.items() if not each.needs_card] == ["onnx", "stablehlo"]


def test_without_a_run_it_is_the_network_that_ferjax_brings_along(images, tmp_path):
    export(None, tmp_path, ["onnx"])
    close(FORMATS["onnx"].load(tmp_path)(images), ferjax.load()(images), 1e-5)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_said(finished_run, tmp_path, monkeypatch, package):
    real = builtins.__import__

    def refuse(name, *rest, **named):
        if name == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delitem(sys.modules, "ferjax.export.onnx_model.model", raising=False)
    with pytest.raises(UserError, match=rf"not installed \({package}\): pip install 'ferjax\[export\]'"):
        export(finished_run, tmp_path, ["onnx"])


@pytest.mark.slow
@pytest.mark.parametrize("views", ["none", "mirror"])
def test_a_thousand_images(reported_run, network, tmp_path, views):
    images = draw(1000, seed=9).images
    export(reported_run, tmp_path / "out", views=views)
    expected = network(images, views=views)
    assert np.ptp(expected, axis=0).max() > 1e-3
    for each in FORMATS.values():
        close(each.load(tmp_path / "out")(images), expected, 1e-4)
