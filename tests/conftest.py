"""Shapes checked, promotion strict, four virtual devices, no compilation shared with the user's cache."""

import os

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jaxtyping
import pytest

jaxtyping.install_import_hook("ferjax", "beartype.beartype")
jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FERJAX_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
