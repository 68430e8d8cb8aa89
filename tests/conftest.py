"""Shapes checked, promotion strict, eight virtual devices, no compilation shared with the user's cache."""

import logging
import os
import sys
import tempfile
import threading

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + (
    " --xla_force_host_platform_device_count=8"
    # The tests' networks are tiny, and compiling them takes most of the time.
    " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jaxtyping
import pytest
from jax._src import lru_cache

jaxtyping.install_import_hook("ferjax", "beartype.beartype")
jax.config.update("jax_numpy_dtype_promotion", "strict")
_LOGGERS = [logging.getLogger(name) for name in ("ferjax", "absl", "asyncio")]
# Many tests start the same tiny run: each of its functions compiles once for all of them, and for every process of
# pytest-xdist, which inherits the name of the folder. .ci/run sets it, so that two sessions share what they compile.
if "FERJAX_TESTS_COMPILED" not in os.environ:
    _compiled = tempfile.TemporaryDirectory(prefix="ferjax-test-xla-")
    os.environ["FERJAX_TESTS_COMPILED"] = _compiled.name
jax.config.update("jax_compilation_cache_dir", os.environ["FERJAX_TESTS_COMPILED"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _put_whole(cache, key, value):
    """Write an entry of jax's cache at once: jax writes it in place, where another process may read the half of it."""
    file, name = tempfile.mkstemp(dir=cache.path)
    with open(file, "wb") as opened:
        opened.write(value)
    os.replace(name, cache.path / f"{key}{lru_cache._CACHE_SUFFIX}")


lru_cache.LRUCache.put = _put_whole


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FERJAX_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session", autouse=True)
def _unknown_memory():
    """No run asks what its step will need: what jax puts in the place of arrays there is not what shape checks want."""
    from ferjax.parallel import memory

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "find_free", lambda: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _small_product():
    """Each run measures what the CPU can do by a matrix product, whose usual size takes as long as a test's run."""
    from ferjax.training import flops

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flops, "_PRODUCT_SIDE", 64)
        yield


@pytest.fixture(scope="session", autouse=True)
def _thin_network():
    """Runs of the tests' width train and load a network of few layers (tests/tiny.py)."""
    from ferjax import networks
    from tests.tiny import SMALL, STAGES

    create = networks.create

    def create_thin(**options):
        network = create(**options)
        is_tiny = (options.get("name"), options.get("width")) == ("compact", SMALL["model.width"])
        return network.clone(stages=STAGES) if is_tiny else network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "create", create_thin)
        yield


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """The folder of a tiny run that has come to its end; tests read it, and change copies."""
    import ferjax
    from tests.tiny import SMALL

    folder = tmp_path_factory.mktemp("finished") / "run"
    ferjax.train("quickstart", folder, {**SMALL, "train.epochs": 1, "train.best_metric": "loss"})
    return folder


@pytest.fixture(scope="session")
def network(finished_run):
    """What that run left."""
    import ferjax

    return ferjax.load(finished_run)


@pytest.fixture(scope="session")
def faces():
    """The rows of its data set, and their numbers in its test split."""
    from tests.answers import read_faces

    return read_faces()


@pytest.fixture(autouse=True)
def _own_logging():
    """A command of one test sets up the process; the next test is to find it as it was."""
    kept = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in _LOGGERS]
    hooks = sys.unraisablehook, threading.excepthook
    yield
    sys.unraisablehook, threading.excepthook = hooks
    for logger, handlers, level, propagate in kept:
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


# The files that take longest begin first, so that at the end no process waits long for another.
_LONGEST = (
    "test_drills",
    "test_processes",
    "test_main",
    "test_train",
    "test_seeds",
    "test_damage",
    "test_parallel",
    "test_step",
    "test_groups",
    "test_search",
    "test_weights_torch",
    "test_export",
    "test_onnx_model",
    "test_ready",
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: _LONGEST.index(item.path.stem) if item.path.stem in _LONGEST else len(_LONGEST))
