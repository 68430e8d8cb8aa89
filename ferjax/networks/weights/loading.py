"""Published weights as the parameters of a network here: found, read, renamed, and checked to be complete."""

import dataclasses
import pathlib
import stat
from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Float32

from ferjax.data.cache import hash_file
from ferjax.errors import UserError
from ferjax.networks.vgg import DEPTHS
from ferjax.networks.weights import formats as files
from ferjax.networks.weights import layout
from ferjax.networks.weights.tensors import Tensor

Tree = dict[str, dict[str, Float32[np.ndarray, "..."]]]

_LISTED = 6  # names that an error gives before it counts the rest


@dataclasses.dataclass(frozen=True)
class Weights:
    """The convolutions, and batch norms where it has them, of a VGG trained on ImageNet; no head.

    `params` and `batch_stats` are laid out as the network's. `source` is 'keras', 'torchvision' or 'timm', `scaling`
    the input that its weights were trained on (one of ferjax.preprocess.SCALINGS), `sha256` and `ignored` are the
    published file's: its digest, and the tensors in it that have no place. `path` is what was read.
    """

    params: Tree
    batch_stats: Tree
    source: str
    model: str
    scaling: str
    sha256: str
    ignored: tuple[str, ...]
    path: str


def load(weights: str, model: str) -> Weights:
    """The weights of `model` from a source, a published file, or a folder that python -m ferjax.pretrained wrote.

    `weights` is 'keras', 'torchvision' or 'timm', whose file is taken from a cache or else downloaded, or a path; what
    a file is, its content tells. Raises UserError where there are none, where the file is damaged or of another
    network, and for values that are not finite.
    """
    from ferjax.networks.weights import published

    _check_model(model)
    return read(published.find(weights, model) if weights in layout.PUBLISHED else pathlib.Path(weights), model)


def check(weights: str, model: str, width: float) -> None:
    """Raise UserError for what `load` and `merge` would refuse and what shows without a download or a tensor read.

    `weights` is what `load` takes, or 'none', which needs nothing; `width` is the factor on the network's channels.
    That is a network without published weights, of this source or at all, a width other than 1, a path where nothing
    is, and a converted folder of another network.
    """
    from ferjax.networks.weights import converted, published

    if weights == "none":
        return
    _check_model(model)
    if width != 1:
        raise UserError(
            f"ImageNet weights are of the whole width, and model.width is {width}: set model.width=1.0, or "
            "model.pretrained=none."
        )
    if weights in layout.PUBLISHED:
        published.check(weights, model)
    elif _is_folder(path := pathlib.Path(weights).expanduser()):
        converted.read_note(path, model)


def read(path: pathlib.Path, model: str | None) -> Weights:
    """The weights in a published file or a converted folder; `model` None takes whichever is there.

    Raises UserError.
    """
    from ferjax.networks.weights import converted

    path = path.expanduser()
    return converted.read(path, model) if _is_folder(path) else _read_file(path, model)


def _check_model(model: str) -> None:
    if model.removesuffix("_bn") not in DEPTHS:
        raise UserError(
            f"There are no ImageNet weights for model.name={model}, only for {_join(layout.PUBLISHED['torchvision'])}: "
            "set model.pretrained=none, or take one of these."
        )


def _is_folder(path: pathlib.Path) -> bool:
    """Whether weights lie in a folder, or else in a file; UserError where there is neither."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = 0
    except OSError as error:  # such as a folder above it that may not be entered
        raise UserError(f"{path} can't be read ({error.strerror}): make it readable, or name another file.") from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UserError(
            f"There are no weights at {path}: model.pretrained is 'none', {_join(map(repr, layout.PUBLISHED))}, or the "
            "path of a published file or of a folder that python -m ferjax.pretrained wrote."
        )
    return stat.S_ISDIR(mode)


def _read_file(path: pathlib.Path, model: str | None) -> Weights:
    with files.open_tensors(path) as (source, tensors):
        table, ignored = _match(path, source, tensors, model)
        model = model or layout.recognise(source, tensors)
        assert model is not None  # _match refuses what it does not recognise
        trees: dict[str, Tree] = {"params": {}, "batch_stats": {}}
        for name, place in table.items():
            values = place.from_published(tensors[name].read(), source)
            check_finite(values, name, path)
            trees[place.collection].setdefault(place.layer, {})[place.parameter] = values
        sha256 = hash_file(path)
    scaling = layout.OTHER_SCALINGS.get(sha256[:8], layout.SCALINGS[source])
    if scaling is None:
        raise UserError(
            f"{path} was trained on an input that data.scaling does not have (red, green, blue in 0..255, less the "
            f"mean): take {source}'s other weights of {model}, or Keras's, which come from Caffe too."
        )
    return Weights(**trees, source=source, model=model, scaling=scaling, sha256=sha256, ignored=ignored, path=str(path))


def check_finite(values: Float32[np.ndarray, "..."], name: str, path: pathlib.Path) -> None:
    """Raise UserError where a tensor has a value that no training could go on from."""
    if not np.isfinite(values).all():
        raise UserError(f"{path} is damaged: {name} holds NaN or infinite values, so get the file again.")


def _match(
    path: pathlib.Path, source: str, tensors: Mapping[str, Tensor], model: str | None
) -> tuple[dict[str, layout.Place], tuple[str, ...]]:
    """The rename table, and the names without a place; UserError unless each tensor fits and none is missing."""
    found = layout.recognise(source, tensors)
    if found is not None and model is not None and found != model:
        raise UserError(
            f"{path} holds the weights of {found}, not of {model}: set model.name={found}, or name a file of {model}."
        )
    if found is None and model is None:
        raise UserError(
            f"{path} holds none of {_join(DEPTHS)}, with _bn or without; its tensors are "
            f"{_list(_describe(name, tensor.shape) for name, tensor in tensors.items())}."
        )
    wanted = found or model
    assert wanted is not None
    table = layout.rename_table(source, wanted)
    ignored = tuple(name for name in tensors if layout.has_no_place(source, name))
    extra = [name for name in tensors if name not in table and name not in ignored]
    missing = [name for name in table if name not in tensors]
    wrong = [name for name in table.keys() & tensors.keys() if not _fits(tensors[name], table[name])]
    problems = {
        "no place for": (_describe(name, tensors[name].shape) for name in extra),
        "no": (_describe(name, table[name].published_shape) for name in missing),
        "another shape or type for": (
            f"{_describe(name, tensors[name].shape)} of {tensors[name].dtype} instead of "
            f"{list(table[name].published_shape)} of float32"
            for name in table
            if name in wrong
        ),
    }
    if extra or missing or wrong:
        listed = "; ".join(f"{what} {text}" for what, names in problems.items() if (text := _list(names)))
        raise UserError(f"{path} is not {source}'s {wanted}: there is {listed}; name a file of {wanted}.")
    return table, ignored


def _fits(tensor: Tensor, place: layout.Place) -> bool:
    # numpy counts bfloat16 among no kind of number.
    is_float = np.issubdtype(tensor.dtype, np.floating) or tensor.dtype.name == "bfloat16"
    return tensor.shape == place.published_shape and is_float


def _describe(name: str, shape: tuple[int, ...]) -> str:
    return f"{name} {list(shape)}"


def _list(items: Iterable[str]) -> str:
    """The first few of some items, with a count of the rest; nothing for none."""
    texts = list(items)
    more = f" and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
    return ", ".join(texts[:_LISTED]) + more


def _join(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}"
