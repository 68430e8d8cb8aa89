import re

import h5py
import jax
import numpy as np
import pytest
from published_networks import compute_features, create_variables, difference, draw_images

from ferjax.errors import UserError
from ferjax.networks import weights as pretrained


@pytest.fixture(autouse=True)
def _keras(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    import keras

    # Every weight is set later; drawing them first takes seconds.
    monkeypatch.setattr(keras.initializers.GlorotUniform, "__call__", lambda _, shape, **kw: np.zeros(shape, "f"))
    with jax.numpy_dtype_promotion("standard"):  # Keras relies on it
        yield


def create_keras(name):
    import keras

    return getattr(keras.applications, name.upper())(weights=None, include_top=False, input_shape=(48, 48, 3))


def draw_layers(model):
    """Random kernel and bias of each layer that has them; He's scale keeps activations near 1."""
    rng, layers = np.random.default_rng(1), {}
    for layer in model.layers:
        if layer.weights:
            shape = layer.kernel.shape
            kernel = rng.standard_normal(shape, np.float32) * np.float32((2 / np.prod(shape[:-1])) ** 0.5)
            layers[layer.name] = kernel, 0.1 * rng.standard_normal(shape[-1], np.float32)
    return layers


def write_published(path, model, layers, top=()):
    """The published layout: a group a layer, named by the attributes, with datasets named by a Keras 1 session."""
    names = [layer.name for layer in model.layers] + list(top)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in names]
        for name in names:
            group = file.create_group(name)
            arrays = dict(zip((f"{name}_W_1:0", f"{name}_b_1:0"), layers.get(name, ()), strict=False))
            group.attrs["weight_names"] = [key.encode() for key in arrays]
            for key, values in arrays.items():
                group[key] = values
    return path


def test_features_equal_kerass_of_the_same_file(tmp_path):
    model = create_keras("vgg19")
    path = write_published(tmp_path / "weights.h5", model, draw_layers(model))
    model.load_weights(path)
    weights = pretrained.load(str(path), "vgg19")
    assert (weights.source, weights.model, weights.scaling) == ("keras", "vgg19", "imagenet_caffe")
    variables, _ = pretrained.merge(create_variables("vgg19"), weights)
    images = draw_images()
    assert difference(compute_features("vgg19", variables, images), model(images)) < 1e-4


# Keras's arrays answer an older numpy.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_every_keras_writes_the_same_weights(tmp_path):
    model = create_keras("vgg16")
    layers = draw_layers(model)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(layers[layer.name])
    top = {"fc1": (np.zeros((512, 8), np.float32), np.zeros(8, np.float32)), "predictions": (np.zeros((8, 2)),)}
    model.save_weights(tmp_path / "keras3.weights.h5")
    model.save(tmp_path / "model.h5")
    write_published(tmp_path / "full", model, layers | top, ("flatten", *top))
    for name in ("keras3.weights.h5", "model.h5", "full"):
        weights = pretrained.load(str(tmp_path / name), "vgg16")
        assert weights.params.keys() == layers.keys()
        assert weights.batch_stats == {}
        for layer, (kernel, bias) in layers.items():
            np.testing.assert_array_equal(weights.params[layer]["kernel"], kernel)
            np.testing.assert_array_equal(weights.params[layer]["bias"], bias)
        assert weights.ignored == (("fc1/kernel", "fc1/bias", "predictions/kernel") if name == "full" else ())


def test_a_tensor_too_many_or_too_few_is_listed(tmp_path):
    model = create_keras("vgg16")
    layers = draw_layers(model)
    path = write_published(tmp_path / "weights", model, layers | {"dense": (np.zeros((512, 7)),)}, ("dense",))
    with pytest.raises(UserError, match=re.escape("no place for dense/kernel [512, 7]; name a file of vgg16")):
        pretrained.load(str(path), "vgg16")
    layers["block3_conv2"] = (layers["block3_conv2"][0],)
    layers["block1_conv1"] = (layers["block1_conv1"][0].transpose(3, 2, 0, 1), layers["block1_conv1"][1].astype(int))
    path = write_published(tmp_path / "weights", model, layers)
    with pytest.raises(
        UserError, match=re.escape("there is no block3_conv2/bias [256]; another shape or type")
    ) as error:
        pretrained.load(str(path), "vgg16")
    assert "block1_conv1/kernel [64, 3, 3, 3] of float32 instead of [3, 3, 3, 64]" in str(error.value)
    assert "block1_conv1/bias [64] of int64" in str(error.value)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"truncated file.*get it again"):
        pretrained.load(str(path), "vgg16")


def test_keras_has_no_batch_norm(tmp_path):
    path = write_published(tmp_path / "weights", model := create_keras("vgg16"), draw_layers(model))
    with pytest.raises(UserError, match="holds the weights of vgg16, not of vgg16_bn"):
        pretrained.load(str(path), "vgg16_bn")
