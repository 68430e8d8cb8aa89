import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import networks
from ferjax.keys import FLAG, SIZE, Key
from ferjax.networks.base import Context, Entry
from ferjax.networks.layers import conv
from ferjax.networks.vgg import VGG


def test_an_option_left_out_has_its_declared_default_and_an_unknown_one_is_refused():
    given = {name: key.default for name, key in networks.KEYS.items()}
    assert networks.create(**given, num_classes=7) == networks.create(name="vgg19", num_classes=7)
    with pytest.raises(TypeError, match=r"option withd; .*width"):
        networks.create(name="vgg19", num_classes=7, withd=1.0)


def test_networks_share_a_key_only_if_they_declare_it_alike():
    one, same, other = (Entry(VGG, keys={"depth": Key(2, legal, "blocks")}) for legal in (SIZE, SIZE, FLAG))
    assert networks.merge_keys({"one": one, "same": same})["depth"].legal == SIZE
    with pytest.raises(ValueError, match="key 'depth' is declared twice"):
        networks.merge_keys({"one": one, "other": other})
    with pytest.raises(ValueError, match="key 'width' is declared twice"):
        networks.merge_keys({"one": Entry(VGG, keys={"width": Key(2, SIZE, "blocks")})})


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        networks.NETWORKS["mine"] = networks.NETWORKS["compact"]


@pytest.mark.parametrize("name", ["vgg11_bn", "compact"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_logits_and_parameters_are_float32(name, dtype):
    model = networks.create(name=name, num_classes=7, dtype=dtype, width=0.1)
    image = jnp.ones((2, 48, 48, model.in_channels), dtype)

    def create_and_apply(image):
        variables = model.init(jax.random.key(0), image)
        return variables, *model.apply(variables, image, Context(train=True), mutable=["batch_stats"])

    variables, logits, updated = jax.eval_shape(create_and_apply, image)
    assert logits.shape == (2, 7)
    assert logits.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, updated))} == {jnp.dtype("float32")}


def test_dropout_acts_in_training_only():
    model = networks.create(name="compact", num_classes=7, dropout=0.5, width=0.05)
    image = jax.random.normal(jax.random.key(1), (2, 48, 48, 1))
    variables = jax.jit(model.init)(jax.random.key(0), image)

    @functools.partial(jax.jit, static_argnums=0)
    def apply(train, key):
        return model.apply(
            variables, image, Context(train=train), mutable=["batch_stats"], rngs={"dropout": jax.random.key(key)}
        )[0]

    assert (apply(True, 0) != apply(True, 1)).any()
    np.testing.assert_array_equal(apply(False, 0), apply(False, 1))


@pytest.mark.parametrize("name", ["vgg11", "compact"])
def test_exact_convolution_reaches_every_layer(name, monkeypatch):
    monkeypatch.setattr(conv, "choose_tile", lambda *_: 4)
    seen = []
    monkeypatch.setattr(conv, "_conv_cpu", lambda x, kernel, m: seen.append(m) or conv._conv_xla(x, kernel))
    for exact in (False, True):
        model = networks.create(name=name, num_classes=7, width=0.06, exact_convolution=exact)
        seen.clear()
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 48, 48, model.in_channels)))
        assert set(seen) == {0 if exact else 4}
