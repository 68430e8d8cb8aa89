"""What is asked of XLA's compiler, and how exactly numbers are multiplied."""

import jax
import jax.numpy as jnp
import pytest

from ferjax import arithmetic
from ferjax.errors import UserError
from ferjax.parallel import choose_options
from ferjax.parallel.options import explain_refusal
from ferjax.training import run
from ferjax.training.loop import Loop
from tests.tiny import shrink


def test_a_gpu_alone_is_asked_for_fixed_sums():
    assert choose_options("", True, "gpu") == {"xla_gpu_deterministic_ops": True}
    assert choose_options("", True, "cpu") == choose_options("", False, "gpu") == {}


def test_what_a_user_writes_is_added():
    written = "xla_gpu_enable_command_buffer=FUSION,WHILE  xla_gpu_enable_latency_hiding_scheduler=true"
    expected = {"xla_gpu_enable_command_buffer": "FUSION,WHILE", "xla_gpu_enable_latency_hiding_scheduler": True}
    assert choose_options(written, False, "gpu") == expected


@pytest.mark.parametrize("written", ["xla_one", "xla_one=", "--xla_one=1", "a=1"])
def test_anything_but_pairs_is_refused(written):
    with pytest.raises(UserError, match=r"parallel\.xla_options has '.*': write xla_NAME=VALUE"):
        choose_options(written, False, "cpu")


def test_xlas_own_refusal_is_a_sentence():
    options = choose_options("xla_no_such_thing=1", False, "cpu")
    function = explain_refusal(jax.jit(lambda x: x + 1, compiler_options=options), options)
    with pytest.raises(UserError, match="No such compile option: 'xla_no_such_thing'"):
        function(jnp.ones(3))


def test_a_run_passes_them_on(tmp_path):
    with pytest.raises(UserError, match=r"refuses parallel\.xla_options"):
        run.run(shrink(**{"parallel.xla_options": "xla_no_such_thing=1", "train.steps": 1}), tmp_path / "run")


def find_precision(wanted):
    with arithmetic.fixed(wanted):
        return jax.make_jaxpr(jnp.dot)(jnp.ones((2, 2)), jnp.ones((2, 2))).eqns[-1].params["precision"]


def test_precision_reaches_the_products_and_ends_with_the_block():
    highest = jax.lax.Precision.HIGHEST
    assert find_precision("highest") == (highest, highest)
    assert find_precision("default") in (None, (jax.lax.Precision.DEFAULT,) * 2)
    assert jax.config.jax_default_matmul_precision is None


def test_a_run_computes_by_its_precision(tmp_path, monkeypatch):
    def look(_, order):
        # Where the step is about to be compiled, which need not be done to see it.
        raise UserError(f"here it is {jax.config.jax_default_matmul_precision}")

    monkeypatch.setattr(Loop, "_take_steps", look)
    with pytest.raises(UserError, match="here it is highest"):
        run.run(shrink(**{"train.precision": "highest"}), tmp_path / "run")
