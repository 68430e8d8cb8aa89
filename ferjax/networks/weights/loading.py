"""The way from the config's `pretrained` to weights: a source's published file, a file, or a converted folder."""

import os
import pathlib
import stat

from ferjax import networks, paths
from ferjax.errors import UserError
from ferjax.networks import saved
from ferjax.networks.weights import converted, copies, own_network, published_file
from ferjax.networks.weights.variables import Weights, join_words


def list_sources() -> tuple[str, ...]:
    """Return the words for those who publish weights, such as 'keras'."""
    return tuple(dict.fromkeys(name for entry in networks.NETWORKS.values() for name in entry.published))


def load(weights: str, model: str) -> Weights:
    """Load the weights of `model` from a source, a file, or a folder of python -m ferjax.pretrained.

    `weights` is one of `list_sources`, whose file is taken from a cache or else downloaded, 'ferjax' for the network
    that ferjax brings along, or the path of a published file, of one that `Network.save` or `ferjax export` wrote, or
    of a converted folder; the content tells which. Raises UserError where there are no weights, where the file is
    damaged or of another network, and for values that are not finite.
    """
    if own := _find_own(weights):
        return own_network.read(own, model)
    _check_model(model)
    return read(copies.find(weights, model) if weights in list_sources() else paths.parse(weights), model)


def check(weights: str, model: str, width: float) -> None:
    """Raise UserError for what `load` and `merge` would refuse and what shows without a download or a tensor read.

    `weights` is what `load` takes, or 'none', which needs nothing; `width` is the factor on the network's channels.
    Refused are a network without published weights, of this source or at all, a width other than 1, a path where
    nothing is, and a converted folder of another network.
    """
    if weights == "none":
        return
    if own := _find_own(weights):
        own_network.check(own, model)
        return
    _check_model(model)
    if width != 1:
        raise UserError(
            f"Published weights are of the whole width, and model.width is {width}: set model.width=1.0, or "
            "init.pretrained=none."
        )
    if weights in list_sources():
        copies.check(weights, model)
    elif _is_folder(path := paths.parse(weights)):
        converted.read_note(path, model)


def read(path: pathlib.Path, model: str | None) -> Weights:
    """Read the weights in a published file or a converted folder; `model` None takes whichever network is there.

    Raises UserError.
    """
    return converted.read(path, model) if _is_folder(path) else published_file.read(path, model)


def _find_own(weights: str) -> pathlib.Path | None:
    """Return the file of a network of ferjax that `weights` names; None where it names something else."""
    if weights == own_network.WORD:
        return saved.SHIPPED
    path = paths.parse(weights)
    if os.path.isfile(path / own_network.EXPORTED_FILE):
        path /= own_network.EXPORTED_FILE
    return path if os.path.isfile(path) and saved.is_saved(path) else None


def _check_model(model: str) -> None:
    if not networks.NETWORKS[model].published:
        having = join_words(name for name, entry in networks.NETWORKS.items() if entry.published)
        raise UserError(
            f"There are no published weights for model.name={model}, only for {having}: set init.pretrained=none, or "
            "take one of these."
        )


def _is_folder(path: pathlib.Path) -> bool:
    """Return whether weights are in a folder, or else in a file; raise UserError where there is neither."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = 0
    except OSError as error:  # such as a folder above it that may not be entered
        raise UserError(f"{path} cannot be read ({error.strerror}): make it readable, or name another file.") from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UserError(
            f"There are no weights at {path}: init.pretrained is 'none', {join_words(map(repr, list_sources()))}, or "
            "the path of a published file or of a folder that python -m ferjax.pretrained wrote."
        )
    return stat.S_ISDIR(mode)
