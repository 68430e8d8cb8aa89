import dataclasses

import jax
import jax.numpy as jnp
import pytest

from ferjax.networks.base import INFERENCE, Context, check_side


def test_a_context_is_frozen_and_says_which_layers_train():
    context = Context(train=True, frozen=frozenset({"stage1/norm1"}))
    assert context.trains(("stage1", "norm2"))
    assert context.trains(("norm1",))
    assert not context.trains(("stage1", "norm1"))
    assert not INFERENCE.trains(("stage1", "norm2"))
    assert Context() == INFERENCE
    with pytest.raises(dataclasses.FrozenInstanceError):
        context.train = False


def test_a_context_is_an_argument_of_a_compiled_function():
    traced = []

    @jax.jit
    def double(x, context):
        traced.append(context.train)
        return 2 * x if context.train else x

    assert [float(double(jnp.ones(()), Context(train=train))) for train in (True, False, True)] == [2, 1, 2]
    assert traced == [True, False]  # one program for each, and hash and equality find it again
    assert len({Context(), Context(train=True), Context(frozen=frozenset("a")), Context()}) == 3


@pytest.mark.parametrize(("height", "width", "fits"), [(32, 40, True), (40, 31, False), (31, 40, False)])
def test_images_of_which_nothing_would_be_left_are_refused(height, width, fits):
    images = jnp.zeros((1, height, width, 3))
    if fits:
        check_side(images, halvings=5)
    else:
        with pytest.raises(ValueError, match=rf"at least 32x32 pixels; these have {height}x{width}"):
            check_side(images, halvings=5)
