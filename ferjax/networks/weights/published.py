"""Where each source publishes its weights, how a file is known to be whole, and where copies may lie already.

torchvision's names end in the first eight digits of the file's SHA-256; Keras's MD5s are those of
`keras.applications`. Of timm's files no checksum is known in advance: a download is held to the SHA-256 that the hub
says of it, and a file that lies in the cache only to its own header.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterator

from ferjax.data.cache import cache_dir
from ferjax.errors import UserError
from ferjax.networks.weights import converted, layout
from ferjax.networks.weights.download import Failed, describe_difference, download

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
_TORCHVISION = "https://download.pytorch.org/models"
_TIMM = "https://huggingface.co/timm"

_KERAS_TAIL, _KERAS_NO_TOP_TAIL = "weights_tf_dim_ordering_tf_kernels.h5", "weights_tf_dim_ordering_tf_kernels_notop.h5"
_KERAS_MD5 = {
    f"vgg16_{_KERAS_NO_TOP_TAIL}": "6d6bbae143d832006294945121d1f1fc",
    f"vgg16_{_KERAS_TAIL}": "64373286793e3c8b2b4e3219cbf3544b",
    f"vgg19_{_KERAS_NO_TOP_TAIL}": "253f8cb515780f3b799900260a226db6",
    f"vgg19_{_KERAS_TAIL}": "cbe5617147190e668d6c5d5026f83318",
}
_TORCHVISION_SHA256 = {
    "vgg11": "8a719046",
    "vgg13": "19584684",
    "vgg16": "397923af",
    "vgg19": "dcbb9e9d",
    "vgg11_bn": "6002323d",
    "vgg13_bn": "abd245e5",
    "vgg16_bn": "6c64b313",
    "vgg19_bn": "c79401a0",
}


@dataclasses.dataclass(frozen=True)
class File:
    """A published file: its name here, its address, and what is known in advance of its digest."""

    name: str
    address: str
    digest: tuple[str, str] | None


def list_files(source: str, model: str) -> list[File]:
    """The published files that hold the weights of `model`; the first is the one to download."""
    if source == "keras":  # without the dense layers, which are six sevenths of the other file
        names = (f"{model}_{_KERAS_NO_TOP_TAIL}", f"{model}_{_KERAS_TAIL}")
        return [File(name, f"{_KERAS}/{model}/{name}", ("md5", _KERAS_MD5[name])) for name in names]
    if source == "torchvision":
        name = f"{model}-{_TORCHVISION_SHA256[model]}.pth"
        return [File(name, f"{_TORCHVISION}/{name}", ("sha256", _TORCHVISION_SHA256[model]))]
    return [File(f"{model}.tv_in1k.safetensors", f"{_TIMM}/{model}.tv_in1k/resolve/main/model.safetensors", None)]


def check(source: str, model: str) -> None:
    """Raise UserError where a source publishes no weights of a network."""
    if model not in layout.PUBLISHED[source]:
        others = [name for name, models in layout.PUBLISHED.items() if model in models]
        raise UserError(
            f"{source} publishes no weights of {model}, only of {', '.join(layout.PUBLISHED[source])}: take one of "
            f"these, or the weights of {' or '.join(others)}."
        )


def find(source: str, model: str) -> pathlib.Path:
    """The published weights of `model`: converted ones, a file in the cache, Keras's or torch's own, or downloaded.

    A file is checked by its digest. Raises UserError where the source has none, for a damaged copy, and where the
    download fails.
    """
    check(source, model)
    candidates = list_files(source, model)
    algorithm, digits = candidates[0].digest or ("", None)
    if folder := converted.find(source, model, digits if algorithm == "sha256" else None):
        return folder
    for path, file in ((folder / file.name, file) for file in candidates for folder in _folders(source)):
        if path.is_file():
            if file.digest and (difference := describe_difference(path, file.digest)):
                raise UserError(f"{path} is damaged or not the published file ({difference}): delete it, start again.")
            return path
    file = candidates[0]
    path = _own_folder() / file.name
    try:
        download(file.address, path, file.digest)
    except Failed as error:
        raise UserError(
            f"There are no weights of {source}'s {model} here, and {file.address} can't be downloaded ({error}): save "
            f"that file as {path}, or start from random weights with model.pretrained=none (configs/random_init.py)."
        ) from error
    except OSError as error:
        raise UserError(
            f"{path} can't be written ({error.strerror}): make room there, or name another folder in FERJAX_CACHE."
        ) from error
    return path


def _own_folder() -> pathlib.Path:
    return cache_dir() / "weights"


def _folders(source: str) -> Iterator[pathlib.Path]:
    """Where a published file may lie under its own name, in the order in which to look."""
    yield _own_folder()
    home = pathlib.Path.home()
    if source == "keras":
        yield pathlib.Path(os.environ.get("KERAS_HOME", home / ".keras")) / "models"
    if source == "torchvision":
        base = pathlib.Path(os.environ.get("XDG_CACHE_HOME", home / ".cache"))
        yield pathlib.Path(os.environ.get("TORCH_HOME", base / "torch")) / "hub" / "checkpoints"
