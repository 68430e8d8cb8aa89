"""Tensors out of torch's two pickle formats without torch, and without running anything that a pickle asks for.

Since torch 1.6 a file is a zip of one pickle and one entry per storage. Before, and so in most of torchvision's VGG
files, it is several pickles one after the other (magic number, version, platform, tensors, keys of storages), followed
by the storages. In both a tensor is a call of a function of `torch._utils` on a storage that is only named. Here other
functions stand in for those and only note their arguments, and every other name that a pickle asks for is refused.
"""

import io
import math
import mmap
import os
import pathlib
import pickle
import pickletools
import reprlib
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from ferjax.networks.weights.tensors import Tensor, Unreadable

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES: Mapping[str, np.dtype[Any]] = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


class _Storage(NamedTuple):
    """A storage as a pickle names it; its values are elsewhere in the file. `start` and `size` count values."""

    kind: str
    key: str
    start: int
    size: int


class _View(NamedTuple):
    """The arguments that torch would rebuild a tensor from, unchecked."""

    storage: Any
    start: Any
    shape: Any
    strides: Any


class _StateDict(dict[Any, Any]):
    """A stand-in for OrderedDict that leaves out the versions of modules, which torch adds to a state dict."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        pass


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows a dictionary, a storage and a tensor, and nothing else.

    A pickle can set attributes of the objects that it asks for. So it is given only strings, and functions that were
    made for this one request.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return lambda items=(): _StateDict(items)
        if module == "torch" and name in _DTYPES:
            return name
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return lambda storage, start, shape, strides, *_: _View(storage, start, shape, strides)
        if module == "torch._utils" and name == "_rebuild_parameter":
            return lambda data, *_: data
        raise Unreadable(
            f"it asks for {module}.{name}, which is no tensor, and a pickle can run any program: save its state_dict() "
            "alone"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, _, size, *view = pid
        if not isinstance(kind, str) or kind not in _DTYPES:
            raise Unreadable(f"it holds a storage of kind {_show(kind)}")
        if view and view[0] is not None:  # of torch 0.1: a storage that is a part of another one
            _, start, size = view[0]
            return _Storage(kind, str(key), int(start), int(size))
        return _Storage(kind, str(key), 0, int(size))


def _load(file: io.BytesIO | mmap.mmap) -> Any:
    """Read the pickle that begins here, and stand behind it; `file` must not allocate what it does not hold.

    The number under which a pickle keeps an object for later is an index of an array, which Python would make as large
    as the number says: up to 32 GB. The numbers of a whole file count from 0.
    """
    start, kept = file.tell(), 0
    for opcode, argument, _ in pickletools.genops(file):  # type: ignore[arg-type]
        if "PUT" in opcode.name or opcode.name == "MEMOIZE":
            kept += 1
            if argument is not None and argument > kept:
                raise Unreadable(f"its pickle is damaged: it keeps an object as number {argument}")
    file.seek(start)
    return _Unpickler(file).load()


class _Clamped(io.FileIO):
    """A file that is never asked for more than it holds: Python allocates what is asked for, a damaged size say."""

    def read(self, size: int | None = -1) -> bytes:
        left = max(os.fstat(self.fileno()).st_size - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left)) or b""


def _show(value: object) -> str:
    """Return the beginning of a value as text; of a few bytes a pickle can make one whose text has no end."""
    return reprlib.repr(value)[:40]


def read_zip(path: pathlib.Path) -> dict[str, Tensor]:
    """List the tensors of a file of torch 1.6 or newer; their values are read when they are asked for."""
    with _Clamped(path) as whole, zipfile.ZipFile(whole) as file:
        entries = {info.filename: info for info in file.infolist()}
        roots = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")]
        if "model.weights.h5" in entries:
            raise Unreadable(
                "it is a whole model of Keras: load it there, and call model.save_weights('NAME.weights.h5')"
            )
        if len(roots) != 1:
            packed = [name for name in entries if name.endswith((".h5", ".hdf5", ".pth", ".safetensors"))]
            inner = f", but {packed[0]}, which must be unpacked" if packed else ""
            raise Unreadable(f"it is a zip, but not one of torch: there is no data.pkl in it{inner}")
        # torch packs nothing; what is packed can be a thousand times as large as the file.
        if any(info.compress_type != zipfile.ZIP_STORED for info in entries.values()):
            raise Unreadable("it is a packed zip, which torch does not write: save it anew with torch.save")
        if f"{roots[0]}byteorder" in entries and file.read(f"{roots[0]}byteorder") != b"little":
            raise Unreadable("it was saved on a big-endian machine, which is not supported")
        views = _views(_load(io.BytesIO(file.read(f"{roots[0]}data.pkl"))))

    def find(storage: _Storage) -> Callable[[], np.ndarray]:
        info = entries.get(f"{roots[0]}data/{storage.key}")
        if info is None:
            raise Unreadable(f"storage {storage.key} is not in it")

        def read() -> np.ndarray:
            with _Clamped(path) as whole, zipfile.ZipFile(whole) as file:  # checks the entry's CRC
                return np.frombuffer(file.read(info), _DTYPES[storage.kind])

        _check_size(storage, info.file_size // _DTYPES[storage.kind].itemsize)
        return read

    return {name: _tensor(view, find(view.storage)) for name, view in views.items()}


def read_legacy(path: pathlib.Path) -> dict[str, Tensor]:
    """List the tensors of a file of torch before 1.6; their values are read when they are asked for."""
    with path.open("rb") as whole, mmap.mmap(whole.fileno(), 0, access=mmap.ACCESS_READ) as file:
        if _load(file) != _MAGIC:
            raise Unreadable("it is a pickle, but not one of torch")
        if (version := _load(file)) != _PROTOCOL:
            raise Unreadable(f"it is of torch's format {_show(version)}, and only {_PROTOCOL} is known")
        _load(file)  # the platform, which does not matter: storages are little-endian everywhere
        views = _views(_load(file))
        kinds = {view.storage.key: view.storage.kind for view in views.values()}
        keys = [str(key) for key in _load(file) if isinstance(key, str | int)]
        offsets = _walk_storages(file, keys, kinds)

    def find(storage: _Storage) -> Callable[[], np.ndarray]:
        if storage.key not in offsets:
            raise Unreadable(f"storage {storage.key} is not in it")
        offset, size = offsets[storage.key]
        _check_size(storage, size)
        return lambda: np.fromfile(path, _DTYPES[storage.kind], count=size, offset=offset)

    return {name: _tensor(view, find(view.storage)) for name, view in views.items()}


def _walk_storages(file: mmap.mmap, keys: list[str], kinds: dict[str, str]) -> dict[str, tuple[int, int]]:
    """Return the offset in bytes and the number of values of every storage.

    The file has the number of values first, then the values.
    """
    end, offsets = len(file), {}
    for key in keys:
        if key not in kinds:
            raise Unreadable(f"storage {key} belongs to no tensor")
        header = file.read(8)
        size, offset = int.from_bytes(header, "little"), file.tell()
        after = offset + size * _DTYPES[kinds[key]].itemsize
        if len(header) < 8 or after > end:
            raise Unreadable("it ends before its last tensor")
        offsets[key] = offset, size
        file.seek(after)
    return offsets


def _views(state: Any) -> dict[str, _View]:
    """Return the tensors of an unpickled state dict; raise Unreadable for anything else in it."""
    if not isinstance(state, dict):
        raise Unreadable(f"it holds no state dict but {type(state).__name__}")
    kinds: dict[str, str] = {}
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, _View) or not isinstance(value.storage, _Storage):
            kind = "a dictionary" if isinstance(value, dict) else f"{type(value).__name__} {_show(value)}"
            raise Unreadable(f"{_show(name)} is no tensor but {kind}: save the network's state_dict() alone")
        key, kind = value.storage.key, value.storage.kind
        if kinds.setdefault(key, kind) != kind:  # torch saves no such file, and in one the sizes could not be told
            raise Unreadable(f"storage {key} is named both as {kinds[key]} and as {kind}")
    return state


def _check_size(storage: _Storage, size: int) -> None:
    if not 0 <= storage.start <= storage.start + storage.size <= size:
        raise Unreadable(
            f"storage {storage.key} holds {size} values where {storage.start + storage.size} are asked for"
        )


def _tensor(view: _View, read_storage: Callable[[], np.ndarray]) -> Tensor:
    storage, start, shape, strides = view
    numbers = [start, *shape, *strides]
    if len(shape) != len(strides) or any(not isinstance(number, int) or number < 0 for number in numbers):
        raise Unreadable(f"a tensor has the impossible shape {_show(shape)} with strides {_show(strides)}")
    last = start + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= storage.size:
        raise Unreadable(f"a tensor of shape {shape!r} reaches beyond its storage of {storage.size} values")

    def read() -> np.ndarray:
        values = read_storage()[storage.start + start :]
        # as_strided checks nothing, and the storage's size was so far only what the file states.
        if math.prod(shape) and last - start >= values.size:
            raise Unreadable(f"storage {storage.key} ends before a tensor of shape {shape!r} does")
        steps = tuple(stride * values.itemsize for stride in strides)
        return np.lib.stride_tricks.as_strided(values, tuple(shape), steps, writeable=False)

    return Tensor(tuple(shape), _DTYPES[storage.kind], read)
