"""Each part of a step on this device beside the CPU's full precision; convolutions beside float64."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import augment, losses
from ferjax.batch import Batch
from ferjax.config import load_config
from ferjax.networks.base import Context
from ferjax.networks.layers import conv, norm, pool
from ferjax.training.build import Task, build
from scripts.accelerator.recorder import Recorder

_TASK = Task((48, 48, 1), (16,) * 7)
# Side, input and output channels.
_SHAPES = ((48, 3, 64), (12, 256, 256), (48, 64, 64), (24, 4, 64), (3, 512, 512))
# Type, precision, and the largest relative error (in the root mean square) that is expected.
_KINDS = (("float32", "highest", 2e-5), ("float32", None, 2e-3), ("bfloat16", None, 2e-2))
_STEPS = (
    ("compact", "float32", "highest", 1e-4),
    ("vgg11", "float32", "highest", 1e-4),
    ("vgg11", "float32", None, 5e-3),
    ("vgg11", "bfloat16", None, 5e-2),
)


def run(recorder: Recorder) -> None:
    """Compare one part after the other."""
    for shape in _SHAPES[:1] if recorder.short else _SHAPES:
        for dtype, precision, bound in _KINDS:
            with recorder.attempt("convolution", shape=shape, dtype=dtype, precision=precision):
                _compare_convolution(recorder, shape, dtype, precision, bound)
    for dtype in ("float32", "bfloat16"):
        x, g = (jnp.asarray(_draw(4, h, w, 64), dtype).round(1) for h, w in ((7, 12), (3, 6)))
        _compare(recorder, f"max pool, {dtype}", 0.0, functools.partial(_pull, pool.max_pool2x2), x, g)
    _compare_norm(recorder)
    _compare_augmentation(recorder)
    loss = losses.create(name="focal", gamma=2.0, label_smoothing=0.1, counts=(10,) * 7)
    targets = jax.nn.one_hot(jnp.arange(64) % 7, 7, dtype=jnp.float32)
    mean = jax.value_and_grad(lambda logits: loss(logits, targets).mean())
    _compare(recorder, "focal loss", 1e-5, mean, _draw(64, 7) * 10)
    for name, dtype, precision, bound in _STEPS[:1] if recorder.short else _STEPS:
        if recorder.has_time(6):
            with recorder.attempt("three steps", name=name, dtype=dtype, precision=precision):
                _compare_steps(recorder, name, dtype, precision, bound)


def _draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape, np.float32)


def _differ(a: Any, b: Any) -> float:
    first, second = (np.asarray(x, np.float64) for x in (a, b))
    return float(np.linalg.norm(first - second)) / max(float(np.linalg.norm(second)), 1e-30)


def _pull(function: Callable[[Any], Any], x: Any, g: Any) -> Any:
    y, back = jax.vjp(function, x)
    return y, back(g)


def _compare(recorder: Recorder, what: str, bound: float, function: Callable[..., Any], *arrays: Any) -> None:
    """Note the largest difference between this device and the CPU over all results of a function."""
    with recorder.attempt(what):
        places = jax.devices()[0], jax.devices("cpu")[0]
        here, cpu = ([_widen(leaf) for leaf in _run_on(place, function, arrays)] for place in places)
        worst = max(_differ(x, y) for x, y in zip(here, cpu, strict=True))
        recorder.note(what, worst=worst, bound=bound, passed=worst <= bound)


def _run_on(place: Any, function: Callable[..., Any], arrays: Any) -> list[Any]:
    return jax.tree.leaves(jax.jit(function)(*jax.device_put(arrays, place)))


def _widen(leaf: Any) -> Any:
    return np.asarray(leaf.astype(jnp.float32))


def _compare_convolution(
    recorder: Recorder, shape: tuple[int, int, int], dtype: str, precision: str | None, bound: float
) -> None:
    side, channels, features = shape
    x, g = _draw(8, side, side, channels), _draw(8, side, side, features)[::-1]
    kernel = _draw(3, 3, channels, features) / np.float32(3 * channels**0.5)
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        wide = [jnp.asarray(array, jnp.float64) for array in (x, kernel, g)]
        y, back = jax.vjp(_convolve, *wide[:2])
        wanted = [np.asarray(array) for array in (y, *back(wide[2]))]
    with jax.default_matmul_precision(precision):
        narrow = [jnp.asarray(array, dtype) for array in (x, kernel, g)]
        y, back = jax.vjp(conv.conv3x3, *narrow[:2])
        errors = [_differ(_widen(a), b) for a, b in zip((y, *back(narrow[2])), wanted, strict=True)]
    facts = {"shape": shape, "dtype": dtype, "precision": precision, "errors": errors, "bound": bound}
    recorder.note("convolution", passed=max(errors) <= bound, **facts)


def _convolve(x: Any, kernel: Any) -> Any:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _compare_norm(recorder: Recorder) -> None:
    layer, x = norm.BatchNorm(), _draw(16, 12, 12, 64) * 2 + 3
    context = Context(train=True, mask=jnp.arange(16) < 13)
    variables = layer.init(jax.random.key(0), x, context)

    def apply(x: Any) -> Any:
        return layer.apply(variables, x, context, mutable=["batch_stats"])[0]

    _compare(recorder, "batch norm", 2e-5, functools.partial(_pull, apply), x, _draw(*x.shape)[::-1])


def _compare_augmentation(recorder: Recorder) -> None:
    change = augment.create(**load_config("compact").augment)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 48, 48, 1)).astype(np.uint8)
    targets = np.eye(7, dtype=np.float32)[np.arange(64) % 7]

    def move(pixels: Any, targets: Any) -> Any:
        batch = Batch(pixels, jnp.zeros(64, jnp.int32), targets, None)
        return change(jnp.uint32(3), jnp.int32(5), batch).images

    _compare(recorder, "augmentation", 1e-4, move, pixels, targets)


def _compare_steps(recorder: Recorder, name: str, dtype: str, precision: str | None, bound: float) -> None:
    """Note how far the losses and the norms of three updates differ, from the same parameters and images."""
    with jax.default_matmul_precision(precision):
        here = _take_steps(name, dtype, jax.devices()[0], recorder.short)
    with jax.default_matmul_precision("highest"):
        cpu = _take_steps(name, "float32", jax.devices("cpu")[0], recorder.short)
    facts = {"name": name, "dtype": dtype, "precision": precision, "here": here, "cpu": cpu, "bound": bound}
    recorder.note("three steps", worst=_differ(here, cpu), passed=_differ(here, cpu) <= bound, **facts)


def _take_steps(name: str, dtype: str, device: Any, short: bool) -> list[float]:
    keys = {"model.name": name, "model.dtype": dtype, "optim.learning_rate": 1e-6, "model.width": 0.1 if short else 1.0}
    parts = build(load_config("no_augmentation", {"init.pretrained": "none", **keys}), _TASK)
    labels = np.arange(16, dtype=np.int32) % 7
    pixels = np.random.default_rng(0).integers(0, 200, (16, 48, 48, 1)) + 8 * labels[:, None, None, None]
    told = []
    with jax.default_device(device):
        seed = jnp.uint32(0)
        state = jax.jit(lambda: parts.create_state(seed, parts.create_variables(seed)))()
        targets = jax.nn.one_hot(labels, 7, dtype=jnp.float32)
        batch = Batch(jnp.asarray(pixels, jnp.uint8), jnp.asarray(labels), targets, None)
        step = jax.jit(parts.train_step)
        for _ in range(3):
            state, sums, diagnostics = step(state, batch)
            told += [float(sums.loss / sums.count), float(diagnostics.update_norm)]
    return told
