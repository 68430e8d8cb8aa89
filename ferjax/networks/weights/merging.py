"""Published weights in the place of a network's random ones: all of them or none."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ferjax.documents.words import count
from ferjax.errors import UserError
from ferjax.networks.weights.variables import Weights, list_problems

HEAD = "head/"  # what published weights leave to training


@dataclasses.dataclass(frozen=True)
class Merge:
    """What `merge` did: names such as 'block1_conv1/kernel' of the network, and in `ignored` of the published file.

    The two counts are of single parameters; batch norm's statistics are not counted as such.
    """

    loaded: tuple[str, ...]
    initialised: tuple[str, ...]
    ignored: tuple[str, ...]
    loaded_parameters: int
    initialised_parameters: int

    def __str__(self) -> str:
        """Return the report: one line each for what was loaded, newly initialised and ignored."""
        rows = (
            ("loaded", self.loaded, f", {self.loaded_parameters / 1e6:.3f} M parameters"),
            ("initialised", self.initialised, f", {self.initialised_parameters / 1e6:.3f} M parameters"),
            ("ignored", self.ignored, " of the file"),
        )
        lines = []
        for title, names, size in rows:
            listed = f": {abbreviate(names)}" if names else ""
            lines.append(f"{title:<12}{count(len(names), 'tensor')}{size if names else ''}{listed}")
        return "\n".join(lines)


def merge(variables: Mapping[str, PyTree[Any]], weights: Weights) -> tuple[dict[str, PyTree[Array]], Merge]:
    """Return the variables of a network with `weights` in place of its own, and what became of each tensor.

    `variables` are as `init` gives them: 'params' and, where there is batch norm, 'batch_stats', float32, nested like
    the network's modules. Structure and order stay. Raises UserError, listing names and both shapes, unless every
    weight has a place of its shape and every tensor outside the head gets one.
    """
    fresh = {part: _flatten(tree) for part, tree in variables.items()}
    published = {"params": _flatten(weights.params), "batch_stats": _flatten(weights.batch_stats)}
    here = {name: leaf for leaves in fresh.values() for name, leaf in leaves.items()}
    there = {name: leaf for leaves in published.values() for name, leaf in leaves.items()}
    _check(here, there, weights)

    def choose(path: Any, leaf: Any) -> Array:
        name = _name(path)
        return jnp.asarray(there[name], leaf.dtype) if name in there else jnp.asarray(leaf)

    merged = {part: jax.tree_util.tree_map_with_path(choose, tree) for part, tree in variables.items()}
    initialised = tuple(name for name in here if name not in there)
    loaded = tuple(name for name in here if name in there)
    counts = [
        sum(fresh["params"][name].size for name in names if name in fresh["params"]) for names in (loaded, initialised)
    ]
    return merged, Merge(loaded, initialised, weights.ignored, *counts)


def abbreviate(names: Iterable[str]) -> str:
    """List names as a person would: what differs by a number as a range, the parameters of one layer in braces.

    'a1/bias', 'a1/kernel', 'a2/bias', 'a2/kernel' become 'a1..2/{bias,kernel}'.
    """
    parameters: dict[str, list[str]] = {}
    for name in names:
        layer, separator, parameter = re.fullmatch(r"(.*?)(?:([/.])([^/.]*))?", name).groups(default="")  # type: ignore[union-attr]
        parameters.setdefault(layer + separator, []).append(parameter)
    numbers: dict[tuple[str, str], list[str]] = {}
    for layer, members in parameters.items():
        stem, number, separator = re.fullmatch(r"(.*?)(\d*)([/.]?)", layer).groups()  # type: ignore[union-attr]
        members = sorted(set(members))
        tail = separator + (members[0] if len(members) == 1 else "{" + ",".join(members) + "}")
        numbers.setdefault((stem, tail), []).append(number)
    return ", ".join(f"{stem}{_range(group)}{tail}" for (stem, tail), group in numbers.items())


def _range(numbers: list[str]) -> str:
    if len(numbers) == 1:
        return numbers[0]
    values = sorted(int(number or 0) for number in numbers)
    if values == list(range(values[0], values[-1] + 1)):
        return f"{values[0]}..{values[-1]}"
    return "{" + ",".join(map(str, values)) + "}"


def _check(here: Mapping[str, Any], there: Mapping[str, Any], weights: Weights) -> None:
    both = [name for name in there if name in here]
    problems = {
        "no place for": [f"{name} {list(there[name].shape)}" for name in there if name not in here],
        "no weights for": [
            f"{name} {list(here[name].shape)}" for name in here if name not in there and not name.startswith(HEAD)
        ],
        "another shape for": [
            f"{name} {list(there[name].shape)} than the network's {list(here[name].shape)}"
            for name in both
            if there[name].shape != here[name].shape
        ],
    }
    if listed := list_problems(problems):
        whose = "the keys of group model as that network has them" if weights.source == "ferjax" else "model.width=1.0"
        raise UserError(
            f"The weights of {weights.model} in {weights.path} do not fit this network (there is {listed}): "
            f"set model.name={weights.model} and {whose}, or init.pretrained=none."
        )


def _flatten(tree: PyTree[Any]) -> dict[str, Any]:
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
