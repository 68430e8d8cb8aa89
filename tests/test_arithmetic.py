"""The same seed is the same run, whatever jax's environment says."""

import jax
import jax.numpy as jnp
import pytest

from ferjax import arithmetic, machine


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("jax_enable_x64", True),
        ("jax_random_seed_offset", 1),
        ("jax_default_prng_impl", "rbg"),
        ("jax_threefry_partitionable", False),
        ("jax_numpy_rank_promotion", "raise"),
        ("jax_disable_jit", True),
    ],
)
def test_settings_that_change_numbers_hold_no_longer_than_the_block(name, other, caplog):
    def draw():
        return jax.random.normal(jax.random.key(0), (8,)).tolist()

    expected, before = draw(), getattr(jax.config, name)
    jax.config.update(name, other)
    try:
        with caplog.at_level("INFO", "ferjax"), arithmetic.fixed():
            assert draw() == expected
            assert jnp.arange(3.0).dtype == jnp.float32
        assert getattr(jax.config, name) == other
        assert f"{name.upper()}={other} is not followed" in caplog.text
    finally:
        jax.config.update(name, before)


def test_every_setting_is_one_of_jaxs():
    for name in arithmetic.SETTINGS:
        assert hasattr(jax.config, name), f"{name}: jax calls it otherwise now, and the environment could change a run"


def test_what_cannot_be_set_is_described(monkeypatch):
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    described = arithmetic.describe()
    assert described["NVIDIA_TF32_OVERRIDE"] == "0"
    assert described["device"] == jax.devices()[0].device_kind
    # XLA's threads share the sums of a product, so a CPU's last digits depend on how many there are.
    assert described["processors"] == str(machine.count_processors())
