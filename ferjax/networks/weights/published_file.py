"""A published file as the variables of a network: recognised by its tensors' names, and checked to be complete."""

import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ferjax import networks
from ferjax.data.cache import hash_file
from ferjax.documents.words import list_first
from ferjax.errors import UserError
from ferjax.networks.sources import Form, Place, Source
from ferjax.networks.weights.formats import open_tensors
from ferjax.networks.weights.tensors import Tensor
from ferjax.networks.weights.variables import (
    LISTED,
    Weights,
    check_finite,
    create_trees,
    join_words,
    list_problems,
)

# The forms whose sources a file may be of, the likeliest first: torch's layouts come in both of its forms.
_FORMS: Mapping[Form, tuple[Form, ...]] = {
    "keras": ("keras",),
    "torch": ("torch", "safetensors"),
    "safetensors": ("safetensors", "torch"),
}


class Layout(NamedTuple):
    """A network as one source publishes it."""

    model: str
    source_name: str
    source: Source


def read(path: pathlib.Path, model: str | None) -> Weights:
    """Read the weights in a published file; `model` None takes those of whichever network is there.

    Raises UserError for a file that cannot be read or is damaged, for one of another network, for values that are not
    finite, and for weights of an input that ferjax cannot give.
    """
    with open_tensors(path) as (form, tensors):
        layout = _choose_layout(path, form, tensors, model)
        source = layout.source
        _check_complete(path, tensors, layout)
        ignored = tuple(name for name in tensors if source.has_no_place(name))
        trees = create_trees(_read_tensors(path, tensors, source))
        sha256 = hash_file(path)
    scaling = source.other_scalings.get(sha256[:8], source.scaling)
    if scaling is None:
        raise UserError(
            f"{path} was trained on an input that input.scaling does not have (red, green, blue in 0..255, less the "
            f"mean): take {layout.source_name}'s other weights of {layout.model}, or those of another source."
        )
    return Weights(
        **trees,
        source=layout.source_name,
        model=layout.model,
        scaling=scaling,
        sha256=sha256,
        ignored=ignored,
        path=str(path),
    )


def recognise(form: Form, tensors: Mapping[str, Tensor], model: str | None = None) -> Layout | None:
    """Find the network and the source that have tensors of just these names; None where there is none.

    Of several networks with the same names `model` is preferred, then one of the same shapes.
    """
    found = [
        layout
        for layout in _list_layouts(form)
        if layout.source.table.keys() == {name for name in tensors if not layout.source.has_no_place(name)}
    ]
    found.sort(
        key=lambda layout: (
            layout.model != model,
            any(tensors[name].shape != place.published_shape for name, place in layout.source.table.items()),
        )
    )
    return found[0] if found else None


def _list_layouts(form: Form) -> Iterator[Layout]:
    for likely in _FORMS[form]:
        for model, entry in networks.NETWORKS.items():
            for name, source in entry.published.items():
                if source.form == likely:
                    yield Layout(model, name, source)


def _choose_layout(path: pathlib.Path, form: Form, tensors: Mapping[str, Tensor], model: str | None) -> Layout:
    """Return the layout that the file is read by: its own, or else the nearest one of `model`."""
    found = recognise(form, tensors, model)
    if found is not None and model is not None and found.model != model:
        raise UserError(
            f"{path} holds the weights of {found.model}, not of {model}: set model.name={found.model}, or name a file "
            f"of {model}."
        )
    if found is not None:
        return found
    candidates = [layout for layout in _list_layouts(form) if layout.model == model]
    if not candidates:
        wanted = model or join_words(name for name, entry in networks.NETWORKS.items() if entry.published)
        told = list_first((_describe(name, tensor.shape) for name, tensor in tensors.items()), LISTED)
        raise UserError(
            f"{path} does not hold the weights of {wanted} in a known layout: its tensors are {told}; name another "
            "file."
        )
    return min(candidates, key=lambda layout: sum(map(len, _find_problems(tensors, layout.source).values())))


def _check_complete(path: pathlib.Path, tensors: Mapping[str, Tensor], layout: Layout) -> None:
    """Raise UserError unless each tensor fits its place and none is missing."""
    if listed := list_problems(_find_problems(tensors, layout.source)):
        raise UserError(
            f"{path} is not {layout.source_name}'s {layout.model}: there is {listed}; name a file of {layout.model}."
        )


def _find_problems(tensors: Mapping[str, Tensor], source: Source) -> dict[str, list[str]]:
    table = source.table
    return {
        "no place for": [
            _describe(name, tensor.shape)
            for name, tensor in tensors.items()
            if name not in table and not source.has_no_place(name)
        ],
        "no": [_describe(name, place.published_shape) for name, place in table.items() if name not in tensors],
        "another shape or type for": [
            f"{_describe(name, tensors[name].shape)} of {tensors[name].dtype} instead of "
            f"{list(place.published_shape)} of float32"
            for name, place in table.items()
            if name in tensors and not _fits(tensors[name], place)
        ],
    }


def _read_tensors(
    path: pathlib.Path, tensors: Mapping[str, Tensor], source: Source
) -> Iterable[tuple[Place, np.ndarray]]:
    for name, place in source.table.items():
        values = place.convert(tensors[name].read())
        check_finite(values, name, path)
        yield place, values


def _fits(tensor: Tensor, place: Place) -> bool:
    # numpy counts bfloat16 among no kind of number.
    is_float = np.issubdtype(tensor.dtype, np.floating) or tensor.dtype.name == "bfloat16"
    return tensor.shape == place.published_shape and bool(is_float)


def _describe(name: str, shape: tuple[int, ...]) -> str:
    return f"{name} {list(shape)}"
