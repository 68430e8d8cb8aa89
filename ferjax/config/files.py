"""Config files: where they are, and how they are read.

A config file is Python: its `get_config()` makes a ConfigDict, and it may import others as `from configs import NAME`.
ferjax's own lie in configs/ of a checkout, and beside the package where ferjax is installed.
"""

import contextlib
import importlib.util
import pathlib
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from ferjax import paths
from ferjax.config.checking import KeyMistake, check
from ferjax.config.parsing import override

_PACKAGE = "configs"


def shipped_folder() -> pathlib.Path:
    """Return the folder of ferjax's own configs."""
    package = pathlib.Path(__file__).resolve().parents[1]
    installed = package / _PACKAGE
    return installed if installed.is_dir() else package.parent / _PACKAGE


def list_configs() -> list[str]:
    """Return the names of ferjax's own configs."""
    return sorted(path.stem for path in shipped_folder().glob("*.py") if path.stem != "__init__")


def find_config_file(name: str) -> pathlib.Path:
    """Find a config file by its path or, if it is one of ferjax's own, by its name or by configs/NAME.py.

    Raises KeyMistake where there is none.
    """
    path = paths.parse(name or ".")  # without a name the sentence below says which there are
    if path.is_file():
        return path
    own = shipped_folder() / f"{path.stem}.py"
    if path.parent.as_posix() in (".", _PACKAGE) and path.suffix in ("", ".py") and own.is_file():
        return own
    raise KeyMistake(f"There is no config file {name}; ferjax's own are {', '.join(list_configs())}.")


def load_config(name: str | pathlib.Path, overrides: Mapping[str, Any] | None = None) -> ConfigDict:
    """Read a config by its file or name, set what `overrides` says by whole names, and check keys and values.

    Raises KeyMistake as `read_config` does, UserError for a value out of its range.
    """
    return check(read_config(find_config_file(str(name)), overrides or {}))


def read_config(path: pathlib.Path, overrides: Mapping[str, Any]) -> ConfigDict:
    """Run a config file, set what `overrides` says by whole names, and check its keys, but not yet their values.

    Old names are put in the new ones' place. Raises KeyMistake for a file that cannot be used and for unknown keys.
    """
    return override(_run_file(path), overrides)


def _run_file(path: pathlib.Path) -> ConfigDict:
    """Run a config file's `get_config()` and return the config; raises KeyMistake for whatever goes wrong in it."""
    try:
        with _importable(path):
            spec = importlib.util.spec_from_file_location("ferjax_config_file", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            config = module.get_config()
    except (Exception, SystemExit) as error:  # a config file is a program, and can fail in any way
        said = (str(error).splitlines() or [""])[0]
        raise KeyMistake(f"--config {path} cannot be used: {type(error).__name__}: {said}") from error
    if not isinstance(config, ConfigDict):
        raise KeyMistake(f"--config {path} cannot be used: its get_config() returns no ConfigDict.")
    return config


@contextlib.contextmanager
def _importable(path: pathlib.Path) -> Iterator[None]:
    """Make `configs` an importable package within the block: the configs beside `path`, then ferjax's own.

    So a config file can import configs.default from any folder, even where something else is called configs. Python
    writes no compiled file beside the config: it could take an old one for a config that was edited a moment later.
    """
    beside = path.resolve().parent.parent / _PACKAGE
    package = types.ModuleType(_PACKAGE)
    package.__path__ = [str(folder) for folder in dict.fromkeys((beside, shipped_folder())) if folder.is_dir()]
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == _PACKAGE}
    for name in before:
        del sys.modules[name]
    sys.modules[_PACKAGE] = package
    writes_compiled, sys.dont_write_bytecode = not sys.dont_write_bytecode, True
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]:
            del sys.modules[name]
        sys.modules.update(before)
        sys.dont_write_bytecode = not writes_compiled
