"""ferjax: train, compare and explain facial-expression classifiers with JAX and Flax.

    import ferjax

    ferjax.train("quickstart", "workdir/first", {"train.epochs": 1})
    network = ferjax.load("workdir/first")
    probabilities = network(images)             # [n, classes]; any size, gray or colour
    ferjax.evaluate(network, {"path": "other.csv"}).report["accuracy"]

Each of these imports what it needs when it is called, so that `import ferjax` itself takes no time.
"""

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from ferjax.data import Rows
    from ferjax.evaluation import Evaluation
    from ferjax.network import Network
    from ferjax.report import Report

__version__ = "0.1.0"

__all__ = ["evaluate", "list_configs", "list_networks", "load", "load_config", "read", "train"]


def train(
    config: "str | pathlib.Path | ConfigDict",
    workdir: str | pathlib.Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    allow_config_change: bool = False,
) -> "Report":
    """Train by a config in a folder, from its last checkpoint where it has one; return the report of its best epoch.

    `config` is the name of one of ferjax's own (`list_configs()`), a config file, or a ConfigDict that
    `load_config` made; `overrides` are keys by their whole names, like {'optim.learning_rate': 1e-3}. The report is
    written into the folder too, as report.json, .md and .csv; `ferjax evaluate` draws the figures. Raises
    ferjax.errors.UserError for what can be mended, and ferjax.config.KeyMistake for wrong keys.
    """
    from ml_collections import ConfigDict

    from ferjax import parallel, paths, report
    from ferjax.config import load_config, override
    from ferjax.training.run import run

    # The values of a ConfigDict are checked by `run`.
    given = isinstance(config, ConfigDict)
    chosen = override(config, overrides or {}) if given else load_config(config, overrides)
    folder = paths.parse(workdir)
    with parallel.explain_memory(chosen.train.batch_size):
        found = run(chosen, folder, allow_config_change=allow_config_change)
    if not parallel.is_main():
        return found
    written = report.report_run(folder)
    report.write_report(folder, written)
    return written


def load(path: str | pathlib.Path | None = None) -> "Network":
    """Load the network that a run left, from its folder or from a file that `Network.save` wrote.

    Without a path it is the network for FER-2013's seven emotions that ferjax brings along. Nothing where it comes from
    is changed or locked. Raises ferjax.errors.UserError where there is none.
    """
    from ferjax.network import load

    return load(path)


def evaluate(
    network: "Network | str | pathlib.Path",
    data: Mapping[str, Any] | None = None,
    *,
    split: str = "auto",
    views: str | None = None,
) -> "Evaluation":
    """Score a network on a data set: that of its run, with the config keys `data` (like {'path': FILE}) changed.

    `split` is 'auto', 'train', 'validation', 'test' or 'all'; `views` names the test-time views. See ferjax.evaluation.
    """
    from ferjax.evaluation import evaluate

    return evaluate(network, data, split=split, views=views)


def read(path: str | pathlib.Path, on_bad_row: str = "error") -> "Rows":
    """Read a data set of faces: a csv, an image folder, an archive of either, or a prepared tfds folder."""
    from ferjax.data import read

    return read(path, on_bad_row)


def list_networks() -> list[str]:
    """Return the names that `model.name` may have."""
    from ferjax.networks import NETWORKS

    return list(NETWORKS)


def list_configs() -> list[str]:
    """Return the names of the configs that ferjax brings along."""
    from ferjax.config import list_configs

    return list_configs()


def load_config(name: str | pathlib.Path, overrides: Mapping[str, Any] | None = None) -> "ConfigDict":
    """Read a config by its file or name, with `overrides` by whole names; raises for unknown keys and bad values."""
    from ferjax.config import load_config

    return load_config(name, overrides)
