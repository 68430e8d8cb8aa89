import jax
import jax.numpy as jnp
import pytest

from ferjax.training import build
from tests.tiny import create_first_state, create_parts, draw_batch


@pytest.mark.parametrize(("fast", "dtype"), [(True, "bfloat16"), (False, "float32")])
def test_auto_trains_as_the_devices_are_fast_and_evaluates_in_float32(fast, dtype, monkeypatch):
    monkeypatch.setattr(build, "has_fast_bfloat16", lambda: fast)
    parts = create_parts(**{"model.dtype": "auto"})
    assert parts.train_dtype == dtype
    assert parts.network.dtype == jnp.float32
    state, batch = create_first_state(parts, 0), draw_batch(4)
    assert ("bf16" in str(jax.make_jaxpr(parts.train_step)(state, batch))) == fast
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    assert "bf16" not in str(jax.make_jaxpr(parts.eval_step)(variables, batch))
