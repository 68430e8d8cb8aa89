"""Tensors out of the weights files of Keras 1, 2 and 3."""

import contextlib
import pathlib
import re
from collections.abc import Iterator

import h5py

from ferjax.networks.weights.hdf5_heaps import has_ring
from ferjax.networks.weights.tensors import Tensor, Unreadable

# Keras 1 ends the name of a kernel with _W, or _W_1 in a second session, and that of a bias with _b; later versions
# write 'kernel' and 'bias'.
_NAMES = {"kernel": re.compile(r"kernel|.+_W(_\d+)?"), "bias": re.compile(r"bias|.+_b(_\d+)?")}
_VARS = {"0": "kernel", "1": "bias"}  # the order of a Keras 3 layer's variables


@contextlib.contextmanager
def opening(path: pathlib.Path) -> Iterator[dict[str, Tensor]]:
    """Open the tensors of a weights file, or of a whole model in HDF5, as 'layer/kernel' and 'layer/bias'.

    Keras 1 and 2 store them as `layer/any/name:0`, and Keras 3 as `layers/any/vars/0` with the layer's name as an
    attribute. Raises Unreadable for two tensors of one name, ValueError for damage that h5py would not come back from,
    and what h5py raises.
    """
    tensors: dict[str, Tensor] = {}

    def visit(place: str, item: h5py.Dataset | h5py.Group) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        *groups, last = place.split("/")
        parameter = last.removesuffix(":0")
        if groups[-1:] == ["vars"] and "name" in item.parent.attrs:
            layer, parameter = str(item.parent.attrs["name"]), _VARS.get(parameter, parameter)
        else:
            layer = groups[0] if groups else ""
            parameter = next((name for name, pattern in _NAMES.items() if pattern.fullmatch(parameter)), parameter)
        name = f"{layer}/{parameter}"
        if name in tensors:
            raise Unreadable(f"it has two tensors for {name}")
        tensors[name] = Tensor(item.shape, item.dtype, lambda: item[()])

    if has_ring(path):
        raise ValueError("a list in it has no end")
    with h5py.File(path, "r") as file:
        file.get("model_weights", file).visititems(visit)
        yield tensors
