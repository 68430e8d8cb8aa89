"""Rules of the house that no other tool checks."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# Uses private parts of Orbax, finds out by itself where they differ, and has a test of what they are for.
GUARDED = ROOT / "ferjax" / "training" / "orbax_memory.py"
SOURCES = sorted(path for folder in ("ferjax", "configs", "scripts") for path in (ROOT / folder).rglob("*.py"))


def test_no_file_is_called_like_a_standard_module():
    taken = [str(path) for path in SOURCES if path.stem in sys.stdlib_module_names - {"__main__", "__init__"}]
    # `statistics.py` in a folder on the path would be imported instead of Python's own.
    assert not taken


@pytest.mark.parametrize("package", ["jax", "flax", "optax", "optuna", "orbax", "ml_collections"])
def test_private_parts_of_other_packages_are_left_alone(package):
    private = re.compile(
        rf"^\s*(from {package}[\w.]*\._|import {package}[\w.]*\._|from {package}[\w.]* import .*\b_\w)"
    )
    found = [
        f"{path}:{number}: {line}"
        for path in SOURCES
        if path != GUARDED
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if private.search(line)
    ]
    assert not found, "a new version may have it elsewhere: use what the package documents, or guard it with a test"


def test_importing_every_module_changes_nothing_of_the_process():
    program = """
import logging, os, pkgutil, signal, sys, importlib, warnings
before = dict(os.environ), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), warnings.filters[:]
import jax
flags = jax.config.jax_compilation_cache_dir, jax.config.jax_enable_x64
import ferjax
for module in pkgutil.walk_packages(ferjax.__path__, "ferjax."):
    if not module.name.endswith("__main__") and module.name not in ("ferjax.data.tfds_builder", "ferjax.evaluate"):
        importlib.import_module(module.name)
after = dict(os.environ), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), warnings.filters[:]
assert before[:3] == after[:3]
assert flags == (jax.config.jax_compilation_cache_dir, jax.config.jax_enable_x64)
assert "torch" not in sys.modules, sys.modules.get("torch", "hidden")
assert not logging.getLogger("ferjax").handlers
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, timeout=120)
