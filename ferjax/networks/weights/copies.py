"""The published file of a network: a copy on this machine, checked by its digest, or else a new download.

Where no digest is known in advance, a download is held to the SHA-256 that the server says of the file, and a copy only
to its own header.
"""

import os
import pathlib
from collections.abc import Iterator

from ferjax import networks, paths
from ferjax.data.cache import cache_dir
from ferjax.errors import UserError
from ferjax.networks.weights import converted
from ferjax.networks.weights.download import Failed, describe_difference, download


def check(source: str, model: str) -> None:
    """Raise UserError where a source publishes no weights of a network."""
    having = {
        name: [word for word, one in entry.published.items() if one.files] for name, entry in networks.NETWORKS.items()
    }
    if source not in having[model]:
        models = ", ".join(name for name, words in having.items() if source in words)
        others = f", or the weights of {' or '.join(having[model])}" if having[model] else ""
        raise UserError(f"{source} publishes no weights of {model}, only of {models}: take one of these{others}.")


def find(source: str, model: str) -> pathlib.Path:
    """Find the published weights of `model`: converted ones, a file in our cache or Keras's or torch's, or download.

    A file is checked by its digest. Raises UserError where the source has none, for a damaged copy, and where the
    download fails.
    """
    check(source, model)
    candidates = networks.NETWORKS[model].published[source].files
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
            f"There are no weights of {source}'s {model} here, and {file.address} cannot be downloaded ({error}): save "
            f"that file as {path}, or start from random weights with init.pretrained=none (configs/random_init.py)."
        ) from error
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): make room there, or name another folder in FERJAX_CACHE."
        ) from error
    return path


def _own_folder() -> pathlib.Path:
    return cache_dir() / "weights"


def _folders(source: str) -> Iterator[pathlib.Path]:
    """Yield the folders where a published file may be under its own name, in the order in which to look."""
    yield _own_folder()
    if source == "keras" and (keras := _find_named("KERAS_HOME", ".keras")):
        yield keras / "models"
    if source == "torchvision":
        base = _find_named("XDG_CACHE_HOME", ".cache")
        if torch := _find_named("TORCH_HOME", None) or (base and base / "torch"):
            yield torch / "hub" / "checkpoints"


def _find_named(variable: str, below_home: str | None) -> pathlib.Path | None:
    """Return the folder that an environment variable names, or else one below the home folder, where there is one."""
    if named := os.environ.get(variable):
        return paths.parse(named)
    home = paths.find_home()
    return home / below_home if home and below_home else None
