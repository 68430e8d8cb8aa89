"""Losses against float64 formulas, finite differences and Keras, and class weights against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from ferjax.ingredients import Ingredient, complete, join_keys
from ferjax.keys import FRACTION, Key
from ferjax.losses import KEYS, LOSSES, create
from ferjax.losses.class_weights import parse

PLAIN = {"name": "cross_entropy", "gamma": 2.0, "alpha": 0.0, "label_smoothing": 0.0, "class_weights": None}
WEIGHTS = (0.5, 9.0, 1.0, 0.25, 1.5, 2.0, 0.0)
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 2, (40, 7)).astype(np.float32)
LABELS = RNG.integers(0, 7, 40).astype(np.int32)
ONE_HOT = np.eye(7, dtype=np.float32)
TARGETS = jnp.asarray(ONE_HOT[LABELS])
CASES = [
    {},
    {"label_smoothing": 0.1},
    {"class_weights": WEIGHTS, "label_smoothing": 0.2},
    {"name": "focal"},
    {"name": "focal", "gamma": 5.0, "alpha": 0.25},
    {"name": "focal", "gamma": 0.5, "label_smoothing": 0.3},
    {"name": "focal", "gamma": 0.0},
    {"name": "focal", "gamma": 1.0, "class_weights": WEIGHTS},
]


def make_loss(**changes):
    case = {**PLAIN, **changes}
    weights = case["class_weights"]
    return create(**{**case, "class_weights": ",".join(map(str, weights)) if weights else "none"}, counts=[1] * 7)


def reference(logits, labels, *, name, gamma, alpha, label_smoothing, class_weights):
    """The textbook formula in float64."""
    logits = logits.astype(np.float64)
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    y = np.eye(logits.shape[-1])[labels] * (1 - label_smoothing) + label_smoothing / logits.shape[-1]
    terms = -y * np.log(p)
    if name == "focal":
        terms = (alpha or 1.0) * (1 - p) ** gamma * terms
    return terms.sum(axis=-1) * (1 if class_weights is None else np.asarray(class_weights)[labels])


def finite_differences(logits, labels, case, step=1e-5):
    gradient = np.zeros(logits.shape)
    for k in range(logits.shape[1]):
        moved = np.eye(logits.shape[1])[k] * step
        high, low = (reference(logits.astype(np.float64) + s * moved, labels, **case) for s in (1, -1))
        gradient[:, k] = (high - low) / (2 * step)
    return gradient


@pytest.mark.parametrize("changes", CASES, ids=str)
def test_value_and_gradient_equal_the_formula(changes):
    case = {**PLAIN, **changes}
    loss_fn = make_loss(**case)
    losses = jax.jit(loss_fn)(jnp.asarray(LOGITS), TARGETS)
    assert losses.dtype == jnp.float32
    np.testing.assert_allclose(losses, reference(LOGITS, LABELS, **case), rtol=1e-5, atol=1e-6)
    gradient = jax.jit(jax.grad(lambda x: loss_fn(x, TARGETS).sum()))(jnp.asarray(LOGITS))
    np.testing.assert_allclose(gradient, finite_differences(LOGITS, LABELS, case), rtol=1e-4, atol=1e-5)


def test_the_cases_above_tell_every_option_apart():
    values = [reference(LOGITS, LABELS, **{**PLAIN, **changes}) for changes in CASES]
    alike = [(i, j) for i in range(len(CASES)) for j in range(i) if np.allclose(values[i], values[j])]
    assert alike == [(6, 0)]  # focal with gamma 0 is cross entropy


def test_focal_with_gamma_0_is_cross_entropy_to_the_bit():
    focal = make_loss(name="focal", gamma=0.0, label_smoothing=0.1)
    plain = make_loss(label_smoothing=0.1)
    logits = jnp.asarray(LOGITS)
    np.testing.assert_array_equal(focal(logits, TARGETS), plain(logits, TARGETS))
    gradients = [jax.grad(lambda x, fn=fn: fn(x, TARGETS).sum())(logits) for fn in (focal, plain)]
    np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize(
    ("name", "gamma", "label_smoothing"),
    [("cross_entropy", 2.0, 0.1), ("focal", 0.1, 0.0), ("focal", 0.5, 0.1), ("focal", 1.0, 0.0), ("focal", 20.0, 0.1)],
)
def test_huge_logits_stay_finite(name, gamma, label_smoothing):
    loss_fn = make_loss(name=name, gamma=gamma, label_smoothing=label_smoothing)
    rows = [[s * a] + [b] * 6 for a in (0.0, 10.0, 17.0, 100.0, 1e4) for s in (1.0, -1.0) for b in (0.0, -1e4, 1e4)]
    logits = jnp.asarray(np.repeat(np.asarray(rows, np.float32), 2, axis=0))
    targets = jnp.asarray(ONE_HOT[np.tile([0, 3], len(rows))])
    losses, pull_back = jax.vjp(jax.jit(lambda x: loss_fn(x, targets)), logits)
    assert np.isfinite(losses).all()
    assert (np.asarray(losses) >= 0).all()
    assert np.isfinite(pull_back(jnp.ones_like(losses))[0]).all()


def test_confidently_right_costs_nothing_and_confidently_wrong_is_linear():
    logits = jnp.asarray([[50.0, 0, 0, 0, 0, 0, 0]])
    for name in ("cross_entropy", "focal"):
        loss_fn = jax.jit(make_loss(name=name))
        np.testing.assert_allclose(loss_fn(logits, jnp.asarray(ONE_HOT[[0]])), [0], atol=1e-6)
        np.testing.assert_allclose(loss_fn(logits, jnp.asarray(ONE_HOT[[1]])), [50], rtol=1e-6)
        gradient = jax.jit(jax.grad(lambda x, fn=loss_fn: fn(x, jnp.asarray(ONE_HOT[[1]])).sum()))(logits)
        np.testing.assert_allclose(gradient, [[1, -1, 0, 0, 0, 0, 0]], atol=1e-5)


def test_bfloat16_logits_are_computed_in_float32():
    logits = jnp.asarray(LOGITS, jnp.bfloat16)
    losses = make_loss()(logits, TARGETS)
    assert losses.dtype == jnp.float32
    np.testing.assert_allclose(losses, reference(np.asarray(logits, np.float32), LABELS, **PLAIN), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("changes", [CASES[2], CASES[5]], ids=str)
def test_a_soft_targets_loss_is_the_mean_of_its_labels_losses(changes):
    """Times the mean of their weights."""
    case = {**PLAIN, **changes}
    shares = RNG.dirichlet(np.ones(7), 40).astype(np.float32)
    unweighted = {**case, "class_weights": None}
    expected = sum(shares[:, k] * reference(LOGITS, np.full(40, k), **unweighted) for k in range(7))
    if case["class_weights"] is not None:
        expected = expected * (shares @ np.asarray(case["class_weights"]))
    losses = jax.jit(make_loss(**case))(jnp.asarray(LOGITS), jnp.asarray(shares))
    assert losses.dtype == jnp.float32
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("changes", [CASES[5]], ids=str)
def test_soft_targets_with_zeros_and_huge_logits_stay_finite(changes):
    loss_fn = make_loss(**changes)
    logits = jnp.asarray([[s * a] + [b] * 6 for a in (0.0, 17.0, 1e4) for s in (1.0, -1.0) for b in (0.0, -1e4, 1e4)])
    targets = jnp.tile(jnp.asarray([[0.6, 0.4, 0, 0, 0, 0, 0]]), (len(logits), 1))
    losses, pull_back = jax.vjp(jax.jit(lambda x: loss_fn(x, targets)), logits)
    assert np.isfinite(losses).all()
    assert np.isfinite(pull_back(jnp.ones_like(losses))[0]).all()


def test_unknown_name_and_unknown_option():
    with pytest.raises(ValueError, match=r"loss\.name must be 'cross_entropy'.*'focal'.*, and is 'hinge'"):
        make_loss(name="hinge")
    with pytest.raises(TypeError, match="no option beta; there are name, "):
        create(beta=1.0, counts=[1] * 7)


def test_what_is_left_out_has_its_declared_default():
    logits = jnp.asarray(LOGITS)
    spelled = create(**{name: key.default for name, key in KEYS.items()}, counts=[1] * 7)
    np.testing.assert_array_equal(create(counts=[1] * 7)(logits, TARGETS), spelled(logits, TARGETS))
    declared = {name: KEYS[name].default for name in ("gamma", "alpha")}
    np.testing.assert_array_equal(
        create(name="focal", counts=[1] * 7)(logits, TARGETS), LOSSES["focal"].create(**declared)(logits, TARGETS)
    )


def test_an_entry_reads_its_own_keys_and_no_name_has_two_meanings():
    scale = Key(0.5, FRACTION, "factor")
    entry = Ingredient(lambda scale, rate: scale * rate, {"scale": scale})
    assert entry.create_from(complete(join_keys(KEYS, entry.keys), {"scale": 2.0}), rate=3.0) == 6.0
    assert list(join_keys({"scale": scale}, {"scale": Key(0.5, FRACTION, "factor")})) == ["scale"]
    with pytest.raises(ValueError, match="'scale' is declared twice"):
        join_keys({"scale": scale}, {"scale": Key(0.4, FRACTION, "factor")})


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_equals_kerass_losses(label_smoothing, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    one_hot = np.eye(7, dtype=np.float32)[LABELS]
    options = {"from_logits": True, "label_smoothing": label_smoothing, "reduction": None}
    focal = keras.losses.CategoricalFocalCrossentropy(alpha=0.25, gamma=2.0, **options)
    pairs = [
        ({}, keras.losses.CategoricalCrossentropy(**options)),
        ({"name": "focal", "gamma": 2.0, "alpha": 0.25}, focal),
    ]
    for changes, keras_loss in pairs:
        loss_fn = make_loss(**changes, label_smoothing=label_smoothing)
        with jax.numpy_dtype_promotion("standard"):
            expected = np.asarray(keras_loss(one_hot, LOGITS))
        # Keras clips probabilities to 1e-7.
        np.testing.assert_allclose(loss_fn(jnp.asarray(LOGITS), TARGETS), expected, rtol=1e-4, atol=1e-6)


def test_balanced_weights_equal_scikit_learns():
    labels = np.repeat(np.arange(7), [40, 4, 41, 72, 48, 32, 50])
    expected = compute_class_weight("balanced", classes=np.arange(7), y=labels)
    np.testing.assert_allclose(parse("balanced", np.bincount(labels)), expected, rtol=1e-12)


def test_listed_weights_and_none():
    assert parse("none", [1] * 7) is None
    assert parse("1, 2,0,.5,1e1,3,4", [1] * 7) == (1, 2, 0, 0.5, 10, 3, 4)


@pytest.mark.parametrize(
    "text",
    ["", "balance", "1,2,3", "1,1,1,1,1,1,x", "1,1,1,1,1,1,-1", "1,1,1,1,1,1,nan", "1,1,1,1,1,1,inf", "0,0,0,0,0,0,0"],
)
def test_bad_weights_are_named_in_one_sentence(text):
    with pytest.raises(ValueError, match=r"^loss\.class_weights must be .* 7 numbers .*\.$") as caught:
        parse(text, [1] * 7)
    assert repr(text) in str(caught.value)


def test_balanced_with_an_empty_class():
    with pytest.raises(ValueError, match="class 1, 6"):
        parse("balanced", [3, 0, 3, 3, 3, 3, 0])
