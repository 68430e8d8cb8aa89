"""The plateau's rule against Keras's callback."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.optim.plateau import make_plateau
from ferjax.scores import SCORES


def draw_trace(rng, metric, epochs=60):
    """Validation figures that climb, stall and fall back, on a grid: no difference of two is near a min_delta."""
    steps = rng.choice([0.0, 0.005, -0.005, 0.01, 0.00025, -0.02], size=epochs, p=[0.4, 0.15, 0.15, 0.1, 0.1, 0.1])
    accuracy = np.clip(0.5 + np.cumsum(steps), 0.0, 1.0)
    return accuracy if metric == "accuracy" else 2.0 - accuracy


def keras_rates(trace, *, metric, patience, factor, min_delta, floor, learning_rate):
    import keras

    callback = keras.callbacks.ReduceLROnPlateau(
        monitor="val",
        mode="max" if metric == "accuracy" else "min",
        factor=factor,
        patience=patience,
        min_delta=min_delta,
        min_lr=floor,
    )
    optimizer = types.SimpleNamespace(learning_rate=np.float32(learning_rate))
    callback.set_model(types.SimpleNamespace(optimizer=optimizer))
    callback.on_train_begin()
    values = []
    for epoch, value in enumerate(trace):
        callback.on_epoch_end(epoch, {"val": float(value)})
        optimizer.learning_rate = np.float32(optimizer.learning_rate)  # as Keras's variable holds it
        values.append(optimizer.learning_rate)
    return np.asarray(values)


def plateau_scales(traces, metric, **changes):
    """The scale after each epoch, of many traces side by side."""
    init, update = make_plateau(
        **{
            "higher_is_better": SCORES[metric].higher_is_better,
            "patience_epochs": 3,
            "factor": 0.5,
            "min_delta": 1e-4,
            "min_scale": 1e-5,
            **changes,
        }
    )
    states = jax.vmap(lambda _: init())(jnp.arange(len(traces)))
    update, scales = jax.jit(jax.vmap(update)), []
    for values in np.asarray(traces, np.float32).T:
        states = update(states, jnp.asarray(values))
        scales.append(np.asarray(states.scale))
    assert scales[0].dtype == np.float32
    return np.stack(scales, axis=1)


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
@pytest.mark.parametrize(
    ("patience", "factor", "min_delta", "floor"),
    [
        (1, 0.9, 1e-4, 1e-7),
        (3, 0.5, 1e-4, 1e-3),  # reaches the floor
        (7, 0.5, 1e-4, 1e-7),  # the report's
        (4, 0.3, 7e-3, 0.0),
        (2, 0.1, 0.0, 3e-4),
        (2, 0.5, 1e-4, 1e-2),  # starts at the floor
        (2, 0.5, 1e-4, 5e-2),  # starts below it
    ],
)
def test_plateau_equals_kerass_callback(metric, patience, factor, min_delta, floor, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    rng = np.random.default_rng(patience)
    traces = [draw_trace(rng, metric) for _ in range(20)]
    scales = plateau_scales(
        traces,
        metric,
        patience_epochs=patience,
        factor=factor,
        min_delta=min_delta,
        min_scale=floor / 1e-2,
    )
    rule = {"patience": patience, "factor": factor, "min_delta": min_delta, "floor": floor, "learning_rate": 1e-2}
    with jax.numpy_dtype_promotion("standard"):
        expected = np.stack([keras_rates(trace, metric=metric, **rule) for trace in traces])
    np.testing.assert_allclose(scales * 1e-2, expected, rtol=1e-5)
    if floor < 1e-2:
        assert (scales[:, -1] < 1).all()


def test_plateau_fires_at_the_patience_and_starts_again():
    scales = plateau_scales([[0.5] * 8], "accuracy", patience_epochs=3)
    np.testing.assert_array_equal(scales[0], [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25])
    np.testing.assert_array_equal(plateau_scales([[0.5, 0.6, 0.7, 0.8]], "accuracy", patience_epochs=1), 1)
    np.testing.assert_array_equal(plateau_scales([[0.5, 0.6, 0.7]], "loss", patience_epochs=1), [[1, 0.5, 0.25]])


def test_a_patience_of_0_is_off():
    np.testing.assert_array_equal(plateau_scales([[0.5] * 20], "accuracy", patience_epochs=0), 1)


def test_plateau_takes_python_numbers_and_survives_nan():
    init, update = make_plateau(higher_is_better=False, patience_epochs=2, factor=0.5, min_delta=1e-4, min_scale=1e-5)
    state = init()
    for loss, scale in ((1.0, 1), (float("nan"), 1), (float("nan"), 0.5), (0.5, 0.5)):
        state = update(state, loss)
        assert float(state.scale) == scale
