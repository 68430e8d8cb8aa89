"""Networks in torchvision's layout with random weights, and what a network here computes."""

import dataclasses
import functools
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ferjax import networks
from ferjax.networks.head import Head
from ferjax.networks.layers import conv

# torchvision's own table (torchvision.models.vgg.cfgs), so that the tests do not count layers as the code does.
CONFIGS = {
    "vgg11": (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    "vgg13": (64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    "vgg16": (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"),
    "vgg19": (64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"),
}


def create_torch_network(name):
    """torchvision's network `name`, with dense layers that are narrower than the published ones."""
    import torch

    layers, channels = [], 3
    for width in CONFIGS[name.removesuffix("_bn")]:
        if width == "M":
            layers.append(torch.nn.MaxPool2d(2, 2))
            continue
        layers.append(torch.nn.Conv2d(channels, width, 3, padding=1))
        if name.endswith("_bn"):
            layers.append(torch.nn.BatchNorm2d(width))
        layers.append(torch.nn.ReLU())
        channels = width
    classifier = [torch.nn.Linear(49, 4), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(4, 4)]
    classifier += [torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(4, 10)]
    modules = {"features": torch.nn.Sequential(*layers), "classifier": torch.nn.Sequential(*classifier)}
    return torch.nn.ModuleDict(modules).eval()


@functools.cache
def draw_torch_network(name):
    """`create_torch_network` with random weights."""
    import torch

    with torch.device("meta"):
        network = create_torch_network(name)
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for key, value in network.state_dict().items():
        if value.ndim == 4:  # He's scale keeps activations near 1
            value.normal_(0, (2 / (9 * value.shape[1])) ** 0.5, generator=generator)
        elif key.endswith(("running_var", "weight")) and value.ndim == 1:
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.is_floating_point():
            value.normal_(0, 0.1, generator=generator)
        else:
            value.zero_()
    return network


def compute_features(name, variables, images):
    """What the network's last pool gives, in evaluation mode."""
    model = networks.create(name=name, num_classes=7, pool="max", hidden=(), dropout=0.0, width=1.0, dtype="float32")

    # Without optimization it compiles in a third of the time.
    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def apply(variables, images):
        seen = []

        def spy(call, args, kwargs, context):
            if isinstance(context.module, Head):
                seen.append(args[0])
            return call(*args, **kwargs)

        # XLA's convolution compiles faster than the CPU's forms of it, which have tests of their own.
        plain = mock.patch.object(conv, "conv3x3", lambda x, kernel, _: conv._conv_xla(x, kernel))
        with plain, nn.intercept_methods(spy):
            model.apply(variables, images)
        return seen[0]

    return apply(variables, images)


def create_variables(name, fill=0.5, **changed):
    """Variables of a network, all of them `fill`."""
    settings = {"num_classes": 7, "pool": "max", "hidden": (), "dropout": 0.0, "width": 1.0, "dtype": "float32"}
    model = networks.create(**{**settings, "name": name, **changed})
    shape = (1, 48, 48, model.in_channels)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros(shape)))
    return jax.tree.map(lambda leaf: np.full(leaf.shape, fill, leaf.dtype), shapes)


def change_source(monkeypatch, model, word, **changed):
    """Publish other things of a network: `changed` are fields of its source `word`."""
    entry = networks.NETWORKS[model]
    source = dataclasses.replace(entry.published[word], **changed)
    entry = dataclasses.replace(entry, published={**entry.published, word: source})
    monkeypatch.setattr(networks, "NETWORKS", {**networks.NETWORKS, model: entry})


def draw_images():
    return np.random.default_rng(0).normal(0, 1, (2, 48, 48, 3)).astype(np.float32)


def difference(actual, expected):
    """The largest difference, of the largest expected value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.abs(expected).max() > 0.1
    return np.abs(actual - expected).max() / np.abs(expected).max()
