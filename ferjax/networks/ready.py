"""A network made ready for inference: batch norm folded into the convolutions before it, kernels prepared once.

A convolution with kernel K and bias b, then batch norm with the factor f and the shift s of each channel, is the
convolution with kernel f K, plus f b + s. It is computed once, in float64, when a network is first used; what a run
saved stays as it is. The numbers differ from the network's own by rounding only.

Nothing of this is written into the networks: `Folded` sees how a network calls its layers, and `apply` answers those
calls with the ready layers.
"""

import collections
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import Jaxpr, Var
from jaxtyping import Array, Float, Float32, PyTree

from ferjax.networks.base import Classifier
from ferjax.networks.layers import forms
from ferjax.networks.layers.conv import Conv3x3
from ferjax.networks.layers.norm import EPSILON, BatchNorm

Path = tuple[str, ...]
Flat = dict[Path, Any]  # arrays of jax and of NumPy


class Ready(flax.struct.PyTreeNode):
    """What a network computes from, ready: an argument of a compiled function.

    `kernels` and `shifts` are those of the convolutions and of the folded norms, by the layers' paths; `variables` are
    of all other layers.
    """

    variables: Mapping[str, PyTree]
    kernels: Mapping[str, forms.Kernel]
    shifts: Mapping[str, Float32[Array, " c"]]


@dataclasses.dataclass(frozen=True)
class _Convolution:
    shape: tuple[int, ...]  # of one image's input, HWC
    features: int
    exact: bool


class Folded:
    """A network whose batch norm is folded; `prepare` makes its kernels ready for a batch's size, each form once.

    `variables` are {'params', 'batch_stats'} and `image_shape` the HWC shape of the network's input. A network that
    does not compute in float32 stays as it is: in half precision a scaled kernel would round differently.
    """

    def __init__(self, module: Classifier, variables: Mapping[str, PyTree], image_shape: tuple[int, int, int]) -> None:
        self._cpu = jax.default_backend() == "cpu"
        flat = flax.traverse_util.flatten_dict(dict(variables))
        self._layers: dict[str, _Convolution] = {}
        self._kernels: dict[tuple[str, str], forms.Kernel] = {}
        self._sources: Flat = {}
        self._shifts: dict[str, Float32[Array, " c"]] = {}
        if jnp.dtype(module.dtype) == jnp.float32:
            self._layers, pairs = _trace(module, variables, image_shape)
            _fold(flat, pairs, self._shifts)
            paths = [("params", *name.split("/"), "kernel") for name in self._layers]
            self._sources = {path: np.asarray(flat.pop(path), np.float32) for path in paths}
        as_arrays = {path: jax.device_put(np.asarray(values, np.float32)) for path, values in flat.items()}
        self._variables: Mapping[str, PyTree] = flax.traverse_util.unflatten_dict(as_arrays)

    def prepare(self, batch: int) -> Ready:
        """Return what `apply` takes for so many images at once."""
        chosen = {
            name: forms.choose((batch, *layer.shape), layer.features, exact=layer.exact, cpu=self._cpu)
            for name, layer in self._layers.items()
        }
        for name, form in chosen.items():
            if (name, form) not in self._kernels:
                kernel = self._sources["params", *name.split("/"), "kernel"]
                self._kernels[name, form] = forms.prepare(kernel, form)
        kernels = {name: self._kernels[name, form] for name, form in chosen.items()}
        return Ready(self._variables, kernels, self._shifts)


def apply(module: Classifier, ready: Ready, images: Float[Array, "b h w c"]) -> Float32[Array, "b k"]:
    """Compute the logits of images, as `module.apply` does with the network's own variables."""

    def answer(name: str, layer: nn.Module, x: Array, call: Callable[[Array], Array]) -> Array:
        if name in ready.kernels:
            y = forms.convolve(x, ready.kernels[name])
            return y + layer.get_variable("params", "bias") if layer.has_variable("params", "bias") else y
        return x + ready.shifts[name] if name in ready.shifts else call(x)

    with _answering(answer):
        logits: Float32[Array, "b k"] = module.apply(ready.variables, images)  # type: ignore[assignment]
    return logits


@contextlib.contextmanager
def _answering(answer: Callable[[str, nn.Module, Array, Callable[[Array], Array]], Array]) -> Iterator[None]:
    """Have `answer` compute every convolution and batch norm in the block.

    It is given the layer's path, the layer, its input, and the layer's own call.
    """

    def intercept(call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        layer = context.module
        if context.method_name != "__call__" or not isinstance(layer, Conv3x3 | BatchNorm | nn.Conv):
            return call(*args, **kwargs)
        return answer("/".join(layer.path), layer, args[0], lambda x: call(x, *args[1:], **kwargs))

    with nn.intercept_methods(intercept):
        yield


def _trace(
    module: Classifier, variables: Mapping[str, PyTree], image_shape: tuple[int, int, int]
) -> tuple[dict[str, _Convolution], dict[str, str]]:
    """Return the 3x3 convolutions, and for each batch norm that can be folded the convolution before it.

    That is one whose output only this norm reads; what is computed is not looked at, only who reads what.
    """
    layers: dict[str, _Convolution] = {}

    def answer(name: str, layer: nn.Module, x: Array, call: Callable[[Array], Array]) -> Array:
        if isinstance(layer, BatchNorm):
            return call(checkpoint_name(x, f"norm {name}"))
        if isinstance(layer, Conv3x3):
            layers[name] = _Convolution(x.shape[1:], layer.features, layer.exact)
            y = jnp.zeros((*x.shape[:3], layer.features), x.dtype)
        else:
            y = call(x)
        marked: Array = checkpoint_name(y, f"conv {name}")
        return marked

    with _answering(answer):
        program = jax.make_jaxpr(lambda images: module.apply(variables, images))(
            jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
        ).jaxpr
    marks = [eqn for eqn in program.eqns if eqn.primitive.name == "name"]
    called = collections.Counter(eqn.params["name"] for eqn in marks)
    once = {eqn.params["name"]: eqn for eqn in marks if called[eqn.params["name"]] == 1}
    read = collections.Counter(var for var in _list_read(program) if isinstance(var, Var))
    written = {eqn.outvars[0]: name.removeprefix("conv ") for name, eqn in once.items() if read[eqn.outvars[0]] == 1}
    norms = {name.removeprefix("norm "): eqn.invars[0] for name, eqn in once.items() if name.startswith("norm ")}
    return layers, {name: written[var] for name, var in norms.items() if var in written}


def _list_read(program: Jaxpr) -> Iterator[Any]:
    """Yield what each operation of a program reads, and what it returns."""
    for eqn in program.eqns:
        yield from eqn.invars
    yield from program.outvars


def _fold(flat: Flat, pairs: Mapping[str, str], shifts: dict[str, Float32[Array, " c"]]) -> None:
    """Scale the kernels and biases in `flat` by the norms after them, and move the norms to `shifts`."""
    for norm, conv in pairs.items():
        own = [flat.pop((kind, *norm.split("/"), name)) for kind, name in _NORM]
        scale, bias, mean, var = (np.asarray(values, np.float64) for values in own)
        factor = scale / np.sqrt(var + EPSILON)
        shifts[norm] = jax.device_put(np.asarray(bias - mean * factor, np.float32))
        for name in ("kernel", "bias"):
            path = ("params", *conv.split("/"), name)
            if path in flat:
                flat[path] = np.asarray(flat[path], np.float64) * factor


_NORM = (("params", "scale"), ("params", "bias"), ("batch_stats", "mean"), ("batch_stats", "var"))
