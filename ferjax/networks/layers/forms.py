"""The forms of the 3x3 convolution at inference, on kernels that are made ready once.

Training transforms its kernels in every step, since they change with every step (ferjax.networks.layers.conv). A
network in use keeps them: then Winograd's form pays at a few tiles already, and nothing is cut out of a kernel again.
"""

import dataclasses
import functools
import types
from collections.abc import Callable, Mapping

import flax.struct
import jax
import numpy as np
from jaxtyping import Array, Float, Float32

from ferjax.networks.layers import winograd
from ferjax.networks.layers.conv import PER_PATCH, correlate, take_patches

Images = Float[Array, "b h w c"]
Outputs = Float[Array, "b h w o"]
# What a number of a kernel, which is read and packed, costs beside its multiply-adds, counted in these. Fitted to
# processor time on Zen 4 with AVX-512 (scripts/time_layers.sh --inference).
_PER_WEIGHT = 18
# With the kernel as the left factor less of it is packed, and the products are slower.
_PER_LEFT_WEIGHT, _LEFT_SLOWER = 6, 1.1


class Kernel(flax.struct.PyTreeNode):
    """A kernel as one form of FORMS takes it."""

    values: Float32[Array, "..."]
    form: str = flax.struct.field(pytree_node=False)


@dataclasses.dataclass(frozen=True)
class Form:
    """One form: how it takes its kernel, what it computes with that, and what this costs on a CPU.

    `prepare` is given a kernel [3, 3, c, o]; `cost` the images' NHWC shape and the number of features, and it counts
    multiply-adds.
    """

    prepare: Callable[[Float[np.ndarray, "3 3 c o"]], Float[np.ndarray, "..."]]
    convolve: Callable[[Images, Float32[Array, "..."]], Outputs]
    cost: Callable[[winograd.Shape, int], float]


def prepare(kernel: Float[np.ndarray, "3 3 c o"], form: str) -> Kernel:
    """Make a kernel ready for a form."""
    # Not jnp.asarray, which compiles a program for each shape: 24 took a quarter of a start of `ferjax predict`.
    return Kernel(jax.device_put(np.ascontiguousarray(FORMS[form].prepare(kernel), np.float32)), form)


def convolve(x: Images, kernel: Kernel) -> Outputs:
    """Correlate NHWC images with a ready 3x3 kernel: stride 1, zero padding to the same size."""
    return FORMS[kernel.form].convolve(x, kernel.values)


def choose(shape: winograd.Shape, features: int, *, exact: bool, cpu: bool) -> str:
    """Choose the form of FORMS that costs least for images of NHWC `shape`; only on a CPU it is not XLA's own.

    `exact` does without Winograd's forms and their rounding.
    """
    if not cpu:
        return "xla"
    costs = {name: form.cost(shape, features) for name, form in FORMS.items() if not (exact and name in _ROUNDING)}
    return min(costs, key=costs.__getitem__)


def _convolve_winograd(x: Images, kernels: Float32[Array, "tt c o"], m: int) -> Outputs:
    return winograd.multiply(winograd.transform_input(x, m), kernels, m, (*x.shape[:3], kernels.shape[2]))


def _prepare_winograd(kernel: Float[np.ndarray, "3 3 c o"], m: int) -> Float[np.ndarray, "tt c o"]:
    G = winograd.matrices(m)[1]
    transformed: Float[np.ndarray, "tt c o"] = np.kron(G, G).astype(kernel.dtype) @ kernel.reshape(9, -1)
    return transformed.reshape((m + 2) ** 2, *kernel.shape[2:])


def _convolve_im2col(x: Images, kernel: Float32[Array, "9*c o"]) -> Outputs:
    return (take_patches(x) @ kernel).reshape(*x.shape[:3], kernel.shape[1])


def _count_im2col(shape: winograd.Shape, features: int) -> float:
    batch, height, width, channels = shape
    return float(9 * channels * (batch * height * width * (features + PER_PATCH) + _PER_WEIGHT * features))


def _convolve_left(x: Images, kernel: Float32[Array, "o 9*c"]) -> Outputs:
    # Without the barrier XLA would swap the factors back, and transpose the kernel in each call.
    products = jax.lax.optimization_barrier(kernel @ take_patches(x).T)
    y: Outputs = products.T.reshape(*x.shape[:3], kernel.shape[0])
    return y


def _count_left(shape: winograd.Shape, features: int) -> float:
    batch, height, width, channels = shape
    pixels = batch * height * width
    products = features * (_LEFT_SLOWER * pixels + _PER_LEFT_WEIGHT)
    return float(9 * channels * (products + PER_PATCH * pixels))


_ROUNDING: Mapping[str, Form] = types.MappingProxyType(
    {
        f"winograd{m}": Form(
            functools.partial(_prepare_winograd, m=m),
            functools.partial(_convolve_winograd, m=m),
            functools.partial(winograd.count, m=m, per_weight=_PER_WEIGHT),
        )
        for m in (2, 3, 4)
    }
)
FORMS: Mapping[str, Form] = types.MappingProxyType(
    {
        "xla": Form(lambda kernel: kernel, correlate, lambda shape, features: float("inf")),
        "im2col": Form(lambda kernel: kernel.reshape(-1, kernel.shape[3]), _convolve_im2col, _count_im2col),
        "im2col_left": Form(lambda kernel: kernel.reshape(-1, kernel.shape[3]).T, _convolve_left, _count_left),
        **_ROUNDING,
    }
)
