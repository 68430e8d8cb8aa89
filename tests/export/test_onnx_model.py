"""From a function in JAX to an ONNX model: each operation in onnxruntime, and what the graph is made of."""

from collections import Counter

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest

from ferjax import networks
from ferjax.errors import UserError
from ferjax.export.onnx_model.model import create_model
from ferjax.export.onnx_model.storage import STORAGES
from ferjax.networks.layers.conv import conv3x3
from ferjax.networks.layers.pool import max_pool2x2, pool_globally
from ferjax.views import VIEWS, average_views
from tests.answers import close

SHAPE = (6, 8, 3)
RANDOM = np.random.default_rng(0)
KERNEL = jnp.asarray(RANDOM.normal(size=(3, 3, 3, 4)), jnp.float32)
CLASSES = tuple("abcd")


def classify(x):
    """Four numbers of whatever shape an operation gave."""
    flat = x.reshape(len(x), -1).astype(jnp.float32)
    return jnp.concatenate([flat, flat], axis=1)[:, :4]


def run(model, images):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


def check(function, atol=1e-5):
    """A function of float images gives the same in JAX and in onnxruntime, for one image and for several."""

    def predict(images):
        return classify(function(images.astype(jnp.float32) / 32 - 3))

    model = create_model(predict, SHAPE, CLASSES, {})
    images = RANDOM.integers(0, 256, (3, *SHAPE), dtype=np.uint8)
    expected = jax.jit(predict)(images)
    atol *= max(1.0, float(jnp.abs(expected).max()))
    close(run(model, images), expected, atol)
    close(run(model, images[:1]), expected[:1], atol)
    return model


def convolve(x, strides=(1, 1), padding="SAME", **options):
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, KERNEL, strides, padding, dimension_numbers=numbers, **options)


FUNCTIONS = {
    "arithmetic": lambda x: jnp.abs(x) ** 3 - jnp.sqrt(x * x + 1) / jnp.exp(-x) + jnp.minimum(x, 0.5),
    "activations": lambda x: nn.gelu(x) + nn.silu(x) + nn.sigmoid(x) * jnp.tanh(x) + nn.leaky_relu(x) + nn.softplus(x),
    "exact gelu and relu6": lambda x: nn.gelu(x, approximate=False) + nn.relu6(x),
    "hard swish": lambda x: nn.hard_swish(x) + nn.elu(x),
    "comparisons": lambda x: jnp.where((x > 0) & ~(x == 1) | (x != x), x, -1.0) + jnp.sign(x) + jnp.floor(x),
    "softmax over pixels": lambda x: jax.nn.softmax(x.reshape(len(x), -1, 3), axis=1),
    "logarithm of a sum": lambda x: jax.nn.logsumexp(x, axis=(1, 2)),
    "slices": lambda x: x[:, 1::2, ::-1][..., :2],
    "one row": lambda x: x[:, 0] + x[:, -1],
    "pad and join": lambda x: jnp.concatenate(
        [jnp.pad(x, ((0, 0), (1, 0), (0, 1), (0, 0))), jnp.ones((len(x), 7, 9, 1))], -1
    ),
    "stack and split": lambda x: jnp.stack(jnp.split(x, 2, axis=2)[::-1], axis=1),
    "transpose": lambda x: (x.transpose(0, 3, 1, 2) + 1).swapaxes(1, 2),
    "a token for each image": lambda x: jnp.concatenate(
        [jnp.broadcast_to(jnp.arange(3.0), (len(x), 1, 3)), x.reshape(len(x), -1, 3)], axis=1
    ),
    "products": lambda x: jnp.einsum("bhwc,bhvc->bhwv", x, x)[:, 2, 3] @ jnp.ones((8, 4)),
    "reductions": lambda x: x.max((1, 2)) - x.min((1, 2)) + x.mean((1, 2)) + x.argmax(1).sum((1,)).astype(jnp.float32),
    "scaled pixels": lambda x: x * (x.mean((1, 2), keepdims=True) + 1),
    "pools": lambda x: (
        nn.max_pool(x, (3, 3), (2, 2), "SAME")
        + jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
    ),
    "strided convolution": lambda x: convolve(x, (2, 2), "VALID"),
    "dilated convolution": lambda x: convolve(x, rhs_dilation=(2, 2)),
    "grouped convolution": lambda x: convolve(jnp.concatenate([x, x], -1), feature_group_count=2),
    "enlarged": lambda x: jax.image.resize(x, (len(x), 9, 12, 3), "bilinear"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_operation_gives_the_same_numbers(name):
    check(FUNCTIONS[name])


@pytest.mark.parametrize("pool", ["max", "mean", "both"])
def test_ferjaxs_own_layers(pool):
    model = check(lambda x: pool_globally(max_pool2x2(nn.relu(conv3x3(x, KERNEL, True))), pool), 1e-4)
    ops = Counter(node.op_type for node in model.graph.node)
    assert (ops["Conv"], ops["Relu"], ops["MaxPool"], ops["Slice"]) == (1, 1, 1, 1), "the slice is this test's own"


@pytest.mark.parametrize("views", ["mirror", "mirror_crops"])
def test_views(views):
    check(lambda x: average_views([view(x)[:, 2, 2] for view in VIEWS[views]]))


def test_factors_and_shifts_of_a_channel_are_folded_into_the_convolution():
    factor, shift = jnp.asarray([1.0, -2.0, 0.5, 3.0]), jnp.asarray([0.1, 0.2, 0.3, 0.4])
    model = check(lambda x: nn.relu(((convolve(x) + shift) * factor - 1) / 2), 1e-4)
    assert {node.op_type for node in model.graph.node} & {"Conv", "Mul", "Sub"} == {"Conv", "Sub"}
    (subtraction,) = (node for node in model.graph.node if node.op_type == "Sub")
    assert subtraction.input[0].startswith("div"), "what is before the convolution stays"


def test_a_convolution_that_is_read_twice_is_left_as_it_is():
    def function(x):
        y = convolve(x)
        return y * 2 + jnp.tanh(y)

    assert "Mul" in {node.op_type for node in check(function, 1e-4).graph.node}


def test_an_operation_that_onnx_has_not_is_named():
    with pytest.raises(UserError, match=r"The network computes 'sort', for which ferjax has no operation of ONNX: "):
        check(lambda x: jnp.sort(x, axis=1))
    with pytest.raises(UserError, match=r"'conv_general_dilated' in a way that ferjax cannot write as ONNX \(a convol"):
        check(lambda x: convolve(x, padding=((1, 1), (1, 1)), lhs_dilation=(2, 2)))


@pytest.mark.parametrize(
    ("storage", "bytes_each", "error"), [("24bit", 3, 2e-5), ("float32", 4, 2e-5), ("float16", 2, 3e-2)]
)
def test_numbers_are_kept_in_so_many_bytes(storage, bytes_each, error):
    matrix = RANDOM.normal(size=(144, 400)).astype(np.float32)

    def predict(images):
        return classify(images.reshape(len(images), -1).astype(jnp.float32) / 256 @ jnp.asarray(matrix))

    model = create_model(predict, SHAPE, CLASSES, {}, storage)
    assert model.ByteSize() / matrix.size == pytest.approx(bytes_each, abs=0.1)
    images = RANDOM.integers(0, 256, (2, *SHAPE), dtype=np.uint8)
    difference = np.abs(run(model, images) - predict(jnp.asarray(images))).max()
    assert difference <= error
    assert storage != "float16" or difference > 1e-4
    assert set(STORAGES) == {"24bit", "float32", "float16"}


def test_the_models_batch_is_open_and_its_facts_are_within():
    model = create_model(lambda x: classify(x.astype(jnp.float32)), SHAPE, CLASSES, {"classes": "abcd"})
    (images,), (probabilities,) = model.graph.input, model.graph.output
    assert [d.dim_param or d.dim_value for d in images.type.tensor_type.shape.dim] == ["n", *SHAPE]
    assert [d.dim_param or d.dim_value for d in probabilities.type.tensor_type.shape.dim] == ["n", 4]
    assert {entry.key: entry.value for entry in model.metadata_props} == {"classes": "abcd"}


@pytest.mark.slow
@pytest.mark.parametrize("name", networks.NETWORKS)
def test_every_network(name):
    module = networks.create(name=name, num_classes=4, width=0.1, pool="both", hidden=(8,))
    variables = module.init(jax.random.key(0), jnp.zeros((1, 48, 48, module.in_channels)))
    leaves, structure = jax.tree.flatten(variables)
    variables = structure.unflatten(
        [leaf + 0.2 * RANDOM.uniform(size=leaf.shape).astype(np.float32) for leaf in leaves]
    )

    def predict(images):
        pixels = images.astype(jnp.float32) / 255
        logits = module.apply(variables, jnp.broadcast_to(pixels, (*pixels.shape[:3], module.in_channels)))
        # Random numbers make large logits, whose probabilities would all be 0 and 1.
        return jax.nn.softmax(logits / jnp.abs(logits).max(1, keepdims=True))

    model = create_model(predict, (48, 48, 1), CLASSES, {})
    images = RANDOM.integers(0, 256, (5, 48, 48, 1), dtype=np.uint8)
    close(run(model, images), jax.jit(predict)(images), 1e-4)
