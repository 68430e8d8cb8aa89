"""The optimizers against NumPy and torch, the schedules' ends, and what the plateau watches."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.optim import create
from ferjax.optim.groups import flatten, join
from ferjax.optim.muon import orthogonalize
from ferjax.optim.optimizer import kernel_mask
from ferjax.scores import SCORES, Sums

DEFAULTS = {
    "learning_rate": 1e-2,
    "epochs": 10,
    "steps_per_epoch": 4.5,
}
RNG = np.random.default_rng(0)
PARAMS = {
    "conv": {"kernel": RNG.normal(size=(3, 3, 2, 4)).astype(np.float32), "bias": np.ones(4, np.float32)},
    "norm": {"scale": np.ones(4, np.float32), "bias": np.ones(4, np.float32)},
}


def make_gradients(n):
    return [jax.tree.map(lambda p: RNG.normal(size=p.shape).astype(np.float32), PARAMS) for _ in range(n)]


def train(gradients, **changes):
    """The parameters after each gradient."""
    optimizer = create(**{**DEFAULTS, **changes})
    params = flatten(jax.tree.map(jnp.asarray, PARAMS))
    state, history = optimizer.init(join(params)), []
    update = jax.jit(optimizer.find_updates)
    for step, gradient in enumerate(gradients):
        updates, state = update(flatten(gradient), state, params)
        params = {name: leaf + optimizer.learning_rate(step) * updates[name] for name, leaf in params.items()}
        history.append(join(params))
    return history


def train_numpy(gradients, *, learning_rate=1e-2, b1=0.9, b2=0.999, eps=1e-7, weight_decay=0.0, clip_norm=0.0):
    """Adam of Kingma & Ba 2015 with decoupled decay of kernels, in float64; the last parameters."""
    params, paths = (
        jax.tree.map(lambda p: p.astype(float), PARAMS),
        [("conv", "kernel"), ("conv", "bias"), ("norm", "scale")],
    )
    moments = dict.fromkeys(paths, (0.0, 0.0))
    for t, gradient in enumerate(gradients, start=1):
        norm = np.sqrt(sum((leaf.astype(float) ** 2).sum() for leaf in jax.tree.leaves(gradient)))
        for block, leaf in paths:
            g = gradient[block][leaf].astype(float) * (min(1.0, clip_norm / norm) if clip_norm else 1.0)
            m, v = moments[block, leaf]
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            moments[block, leaf] = m, v
            step = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
            decay = weight_decay * params[block][leaf] if leaf == "kernel" else 0.0
            params[block][leaf] = params[block][leaf] - learning_rate * (step + decay)
    return params


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"b1": 0.5, "b2": 0.9},
        {"eps": 0.3},
        {"weight_decay": 0.5},
        {"clip_norm": 0.1, "eps": 0.1},
        {"learning_rate": 0.1, "weight_decay": 0.1},
    ],
    ids=str,
)
def test_equals_a_numpy_adam(changes):
    gradients = make_gradients(5)
    ours, expected = train(gradients, **changes)[-1], train_numpy(gradients, **changes)
    for block, leaf in (("conv", "kernel"), ("conv", "bias"), ("norm", "scale")):
        np.testing.assert_allclose(ours[block][leaf], expected[block][leaf], rtol=2e-5, atol=2e-6)
    if changes:
        assert not np.allclose(expected["conv"]["kernel"], train_numpy(gradients)["conv"]["kernel"], atol=1e-4)


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 0.0), (0.5, 0.1)])
def test_sgd_equals_torchs(momentum, weight_decay):
    torch = pytest.importorskip("torch")
    gradients = make_gradients(5)
    ours = train(gradients, name="sgd", momentum=momentum, weight_decay=weight_decay)[-1]
    for block, leaf in (("conv", "kernel"), ("conv", "bias")):
        theirs = torch.nn.Parameter(torch.tensor(PARAMS[block][leaf]))
        optimizer = torch.optim.SGD([theirs], lr=1e-2, momentum=momentum, nesterov=momentum > 0)
        for gradient in gradients:
            before = theirs.detach().clone()
            theirs.grad = torch.tensor(gradient[block][leaf])
            optimizer.step()
            if leaf == "kernel":  # decoupled, and in proportion to the learning rate, which torch's is not
                theirs.data -= 1e-2 * weight_decay * before
        np.testing.assert_allclose(ours[block][leaf], theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


def orthogonalize_numpy(matrix, iterations):
    """Jordan et al. 2024: the quintic Newton-Schulz iteration, in float64."""
    x = matrix / np.linalg.norm(matrix)
    for _ in range(iterations):
        square = x @ x.T
        x = 3.4445 * x - 4.775 * square @ x + 2.0315 * square @ square @ x
    return x


def test_muon_moves_kernels_by_orthogonal_matrices_and_all_else_as_adam_does():
    gradients = make_gradients(4)
    ours = train(gradients, name="muon", muon_momentum=0.5, muon_iterations=3, weight_decay=0.1)
    as_adam = train(gradients, weight_decay=0.1)
    kernel, mean = PARAMS["conv"]["kernel"].reshape(18, 4).astype(float), 0.0
    for gradient, after, adams in zip(gradients, ours, as_adam, strict=True):
        g = gradient["conv"]["kernel"].reshape(18, 4).astype(float)
        mean = 0.5 * mean + 0.5 * g
        ahead = 0.5 * mean + 0.5 * g  # Nesterov
        direction = 0.2 * np.sqrt(18) * orthogonalize_numpy(ahead.T, 3).T
        kernel = kernel - 1e-2 * (direction + 0.1 * kernel)
        np.testing.assert_allclose(after["conv"]["kernel"].reshape(18, 4), kernel, rtol=1e-4, atol=1e-5)
        for block, leaf in (("conv", "bias"), ("norm", "scale"), ("norm", "bias")):
            np.testing.assert_array_equal(after[block][leaf], adams[block][leaf])


@pytest.mark.parametrize("shape", [(90, 16), (16, 90), (20, 20), (7, 1)])
def test_orthogonal_matrices_equal_the_iteration_on_the_whole_matrix(shape):
    small = min(shape)
    u, _, v = np.linalg.svd(RNG.normal(size=shape), full_matrices=False)
    matrix = (u * 10.0 ** -np.linspace(0, 4, small)) @ v  # singular values over four decades
    ours = np.asarray(jax.jit(orthogonalize, static_argnums=1)(jnp.asarray(matrix, jnp.float32), 5))
    whole = orthogonalize_numpy(matrix.T if shape[0] > shape[1] else matrix, 5)
    expected = whole.T if shape[0] > shape[1] else whole
    np.testing.assert_allclose(ours, expected, atol=2e-3 * np.abs(expected).max())
    assert not np.any(np.asarray(orthogonalize(jnp.zeros(shape), 5)))


def test_muon_leaves_the_output_layer_to_adam():
    params = {name: {"kernel": jnp.ones((3, 2))} for name in ("hidden1", "output")}
    optimizer = create(**DEFAULTS, name="muon")
    gradients = flatten({"head": jax.tree.map(lambda leaf: 2 * leaf, params)})
    named = flatten({"head": params})
    updates, _ = jax.jit(optimizer.find_updates)(gradients, optimizer.init({"head": params}), named)
    np.testing.assert_allclose(updates["head/output/kernel"], -1.0, rtol=1e-5)
    assert np.abs(updates["head/hidden1/kernel"]).max() < 0.3


def test_weight_decay_touches_kernels_only():
    zeros = [jax.tree.map(np.zeros_like, PARAMS)] * 2
    after = train(zeros, weight_decay=0.5)[-1]
    np.testing.assert_allclose(after["conv"]["kernel"], PARAMS["conv"]["kernel"] * (1 - 1e-2 * 0.5) ** 2, rtol=1e-6)
    for block, leaf in (("conv", "bias"), ("norm", "scale"), ("norm", "bias")):
        np.testing.assert_array_equal(after[block][leaf], PARAMS[block][leaf])
    np.testing.assert_array_equal(train(zeros)[-1]["conv"]["kernel"], PARAMS["conv"]["kernel"])
    assert [name for name, wanted in kernel_mask(flatten(PARAMS)).items() if wanted] == ["conv/kernel"]


def test_clipping_leaves_small_gradients_alone():
    small = [jax.tree.map(lambda g: g * 1e-3, gradient) for gradient in make_gradients(2)]
    for a, b in zip(jax.tree.leaves(train(small, clip_norm=1.0)[-1]), jax.tree.leaves(train(small)[-1]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_updates_follow_the_schedule():
    gradients = [jax.tree.map(np.ones_like, PARAMS)] * 12  # Adam's step is then 1
    changes = {"schedule": "cosine", "warmup_epochs": 2.0}
    history = [PARAMS, *train(gradients, **changes)]
    moved = [float(a["norm"]["bias"][0] - b["norm"]["bias"][0]) for a, b in itertools.pairwise(history)]
    rate = create(**{**DEFAULTS, **changes}).learning_rate
    np.testing.assert_allclose(moved, [float(rate(step)) for step in range(12)], atol=1e-6)


def rates(steps, **changes):
    rate = jax.jit(jax.vmap(create(**{**DEFAULTS, **changes}).learning_rate))
    values = rate(jnp.asarray(steps, jnp.int32))
    assert values.dtype == jnp.float32
    return np.asarray(values)


def test_constant():
    np.testing.assert_allclose(rates([0, 1, 44, 45, 1000]), 1e-2)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_warm_up_is_linear_from_0(schedule):
    np.testing.assert_allclose(
        rates(range(10), schedule=schedule, warmup_epochs=2.0), np.arange(10) / 9 * 1e-2, atol=1e-9
    )


@pytest.mark.parametrize("warmup_epochs", [0.0, 2.0])
def test_cosine_ends_at_0_with_the_last_epoch(warmup_epochs):
    warm = round(warmup_epochs * 4.5)
    steps = np.arange(warm, 46)
    expected = 0.5e-2 * (1 + np.cos(np.pi * (steps - warm) / (45 - warm)))
    np.testing.assert_allclose(rates(steps, schedule="cosine", warmup_epochs=warmup_epochs), expected, atol=1e-8)
    assert rates([46, 90], schedule="cosine").max() < 1e-9
    # A part of a step counts as one.
    assert rates([45], schedule="cosine", steps_per_epoch=4.51)[0] > 1e-6
    assert rates([46], schedule="cosine", steps_per_epoch=4.51)[0] < 1e-9


def test_onecycle_rises_to_the_peak_and_falls():
    values = rates(range(46), schedule="onecycle")
    np.testing.assert_allclose(values[[0, 13, 45]], [1e-2 / 25, 1e-2, 1e-2 / 25e4], rtol=1e-3)
    assert (np.diff(values[:14]) > 0).all()
    assert (np.diff(values[13:]) < 0).all()


@pytest.mark.parametrize("schedule", ["constant", "cosine", "onecycle"])
def test_a_run_without_an_end_has_a_rate(schedule):
    assert np.isfinite(rates([0, 5], schedule=schedule, epochs=2**31 - 1)).all()


def test_a_warm_up_without_an_end_stays_near_0():
    assert 0 <= rates([5], warmup_epochs=3e38)[0] < 1e-9


@pytest.mark.parametrize("schedule", ["constant", "cosine", "onecycle"])
def test_a_run_of_one_step_has_a_finite_rate(schedule):
    assert np.isfinite(rates([0, 1, 2], schedule=schedule, epochs=1, steps_per_epoch=1.0)).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "rprop"}, "optim.name must be 'adam'.*'sgd'.*, and is 'rprop'"),
        ({"schedule": "step"}, "step"),
        ({"plateau_metric": "f1"}, "'macro_f1', .* and is 'f1'"),
        ({"schedule": "cosine", "warmup_epochs": 10.0}, "45 steps of 45"),
    ],
)
def test_what_it_refuses(changes, words):
    with pytest.raises(ValueError, match=words):
        create(**{**DEFAULTS, **changes})


@pytest.mark.parametrize("metric", SCORES)
def test_the_plateau_follows_any_score_in_its_own_direction(metric):
    optimizer = create(**{**DEFAULTS, "plateau_metric": metric, "plateau_patience_epochs": 1})
    worse = Sums(loss=jnp.float32(9.0), confusion=jnp.asarray([[1.0, 3.0], [2.0, 4.0]]))
    better = Sums(loss=jnp.float32(2.0), confusion=jnp.asarray([[3.0, 1.0], [1.0, 5.0]]))
    rising, falling = ([*pair] for pair in ((worse, better), (better, worse)))
    for values, scale in ((rising, 1), (falling, 0.5)):
        state = optimizer.init_plateau()
        for sums in values:
            state = optimizer.update_plateau(state, sums)
        assert float(state.scale) == scale
