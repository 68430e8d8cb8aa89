"""The form of a published file, which its first bytes tell, and its tensors by their published names."""

import contextlib
import errno
import os
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np
import safetensors

from ferjax.errors import UserError
from ferjax.networks.sources import Form
from ferjax.networks.weights import torch_file
from ferjax.networks.weights.tensors import Tensor, Unreadable

_HDF5, _ZIP, _PICKLE = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x80"
_SAFETENSORS_HEADER = re.compile(rb".{8}\s*\{", re.DOTALL)  # eight bytes of length, then JSON
_TAR_MAGIC_AT = 257
_SAFETENSORS_DTYPES: Mapping[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype("<i8"),
}


@contextlib.contextmanager
def open_tensors(path: pathlib.Path) -> Iterator[tuple[Form, dict[str, Tensor]]]:
    """Open a file: its form and its tensors, which can be read within the block.

    Raises UserError for a file of another form and for whatever is wrong with it.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_TAR_MAGIC_AT + 5)
        if head.startswith(_HDF5):
            # Only here, since h5py takes a tenth of a second to import.
            from ferjax.networks.weights import keras_file

            with keras_file.opening(path) as tensors:
                yield "keras", tensors
        elif head.startswith(_ZIP):
            yield "torch", torch_file.read_zip(path)
        elif head.startswith(_PICKLE):
            yield "torch", torch_file.read_legacy(path)
        elif _SAFETENSORS_HEADER.match(head):
            yield "safetensors", _list_safetensors(path)
        else:
            raise Unreadable(_describe_other(head))
    except UserError:
        raise
    except Unreadable as error:
        raise UserError(f"{path} cannot be used: {_show(str(error))}.") from error
    except OSError as error:
        # h5py gives no number for damage; EINVAL is for a place before the file's start, which a damaged zip names.
        if error.errno in (None, errno.EINVAL):
            raise _damage(path, error) from error
        raise UserError(
            f"{path} cannot be read ({os.strerror(error.errno)}): make it readable, or name another file."
        ) from error
    except Exception as error:  # each library has its own ways to fail on broken bytes
        raise _damage(path, error) from error


def _damage(path: pathlib.Path, error: Exception) -> UserError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UserError(
        f"{path} cannot be read ({_show(reason)}): it may be cut off or damaged, so delete it and get it again."
    )


def _show(text: str) -> str:
    """Return a text in one line: the names in a damaged file may have any characters."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _describe_other(head: bytes) -> str:
    if not head:
        return "it is empty"
    if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar":
        return "it is a tar, as torch wrote before version 0.1.10, and torchvision has newer files of the same weights"
    if head.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS and not the file itself, which 'git lfs pull' fetches"
    return f"it is no .h5, .pth or .safetensors file (it starts with {head[:16]!r})"


def _list_safetensors(path: pathlib.Path) -> dict[str, Tensor]:
    tensors = {}
    with safetensors.safe_open(path, framework="numpy") as file:
        for name in file.keys():  # noqa: SIM118 - safe_open is no mapping
            part = file.get_slice(name)
            if part.get_dtype() not in _SAFETENSORS_DTYPES:
                raise Unreadable(f"{name} is of type {part.get_dtype()}, not of floating-point numbers")

            def read(name: str = name) -> np.ndarray:
                with safetensors.safe_open(path, framework="numpy") as file:
                    values: np.ndarray = file.get_tensor(name)
                    return values

            tensors[name] = Tensor(tuple(part.get_shape()), _SAFETENSORS_DTYPES[part.get_dtype()], read)
    return tensors
