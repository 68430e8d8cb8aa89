import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

from ferjax.scores import SCORES, Score, Sums, compute_scores
from ferjax.scores.confusion import confusion_matrix, count_answers, score_classes

CASES = {
    "random": (np.random.default_rng(0).integers(0, 7, 500), np.random.default_rng(1).integers(0, 7, 500)),
    "one row": (np.array([3]), np.array([3])),
    "all wrong": (np.array([0, 1, 2]), np.array([1, 2, 0])),
    "one guess": (np.arange(70) % 7, np.full(70, 3)),
    "never predicted": (np.array([0, 0, 1, 1, 2]), np.array([0, 0, 0, 0, 0])),
    "absent but predicted": (np.array([0, 0, 1]), np.array([0, 6, 1])),
    "neither": (np.array([0, 1, 1]), np.array([0, 1, 0])),
}
# Few rows of many classes: some class is absent, some never predicted, some both.
for seed in range(12):
    rng = np.random.default_rng(seed)
    CASES[f"random {seed}"] = tuple(rng.choice(7, 2 + seed, p=rng.dirichlet(np.full(7, 0.4))) for _ in range(2))


@pytest.mark.parametrize("case", CASES)
def test_scores_equal_scikit_learn(case):
    labels, predicted = CASES[case]
    confusion = confusion_matrix(labels, predicted, 7)
    np.testing.assert_array_equal(confusion, sklearn.metrics.confusion_matrix(labels, predicted, labels=range(7)))
    by_class = score_classes(confusion)
    scores = compute_scores(Sums(np.asarray(3.5), confusion))

    def expect(average):
        return sklearn.metrics.precision_recall_fscore_support(
            labels, predicted, labels=range(7), zero_division=0, average=average
        )

    for key, value in zip(("precision", "recall", "f1", "support"), expect(None), strict=True):
        np.testing.assert_allclose(by_class[key], value, rtol=0, atol=1e-12)
    for average in ("macro", "weighted"):
        got = [scores[f"{average}_{key}"] for key in ("precision", "recall", "f1")]
        np.testing.assert_allclose(got, expect(average)[:3], rtol=0, atol=1e-12)
    assert scores["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted), abs=1e-12)


def test_rows_are_true_classes():
    confusion = confusion_matrix(np.array([2, 2]), np.array([0, 2]), 3)
    assert confusion.tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 1]]


def test_narrow_labels_do_not_wrap():
    labels = np.full(5, 30, np.int8)
    assert confusion_matrix(labels, labels, 31)[30, 30] == 5


@pytest.mark.parametrize("bad", [-1, 7])
def test_a_class_out_of_range_is_refused(bad):
    with pytest.raises(ValueError, match=r"predicted holds a class outside 0\.\.6"):
        confusion_matrix(np.array([0]), np.array([bad]), 7)


def stack_cases():
    return np.stack([confusion_matrix(*CASES[case], 7) for case in CASES])


def test_the_device_scores_many_seeds_as_the_host_scores_one():
    confusions = stack_cases()
    losses = np.linspace(1.0, 2.0, len(confusions))
    sums = Sums(jnp.asarray(losses, jnp.float32), jnp.asarray(confusions, jnp.float32))
    together, by_seed = jax.jit(compute_scores)(sums), jax.jit(jax.vmap(compute_scores))(sums)
    for name in SCORES:
        assert together[name].dtype == jnp.float32
        np.testing.assert_array_equal(together[name], by_seed[name])
        alone = [
            compute_scores(Sums(np.asarray(loss), one))[name] for loss, one in zip(losses, confusions, strict=True)
        ]
        np.testing.assert_allclose(together[name], alone, rtol=1e-5)
        # What the log computes of the arrays that it fetched is what the device decides by.
        fetched = compute_scores(jax.device_get(sums))[name]
        assert fetched.dtype == np.float32
        np.testing.assert_allclose(fetched, together[name], rtol=1e-6)


def test_every_score_says_which_way_is_better():
    worse = Sums(np.asarray(9.0), np.array([[1, 3], [2, 4]]))
    better = Sums(np.asarray(2.0), np.array([[3, 1], [1, 5]]))
    for name, score in SCORES.items():
        low, high = float(score.of(worse)), float(score.of(better))
        assert score.is_better(jnp.float32(high), jnp.float32(low))
        assert not score.is_better(jnp.float32(low), jnp.float32(high))
        assert not score.is_better(jnp.float32(np.nan), jnp.float32(score.worst))
        assert score.is_better(jnp.float32(low), jnp.float32(score.worst))
        assert min((low, high), key=score.rank) == high
        assert (name == "loss") == score.of_loss_function
        assert score.format(0.5) == ("50.00%" if score.unit == "%" else "0.5000")


def test_a_score_says_its_unit():
    kappa = Score("kappa", lambda sums: sums.loss, unit="")
    assert [score.label for score in (SCORES["macro_f1"], SCORES["loss"], kappa)] == [
        "macro F1 (%)",
        "loss (nats)",
        "kappa",
    ]
    assert kappa.format(0.5) == "0.5000"


@pytest.mark.parametrize("mode", ["jit", "vmap", "scan"])
def test_counting_on_the_device_equals_counting_on_the_host(mode):
    rng = np.random.default_rng(0)
    labels, predicted = (rng.integers(0, 7, (3, 400)).astype(np.int32) for _ in range(2))
    mask = np.arange(400) < 333

    def count(labels, predicted):
        return count_answers(labels, predicted, jnp.asarray(mask), 7)

    if mode == "jit":
        counted = [jax.jit(count)(*map(jnp.asarray, pair)) for pair in zip(labels, predicted, strict=True)]
    elif mode == "vmap":
        counted = jax.jit(jax.vmap(count))(jnp.asarray(labels), jnp.asarray(predicted))
    else:
        pairs = jnp.asarray(labels), jnp.asarray(predicted)
        counted = jax.lax.scan(lambda _, pair: (None, count(*pair)), None, pairs)[1]
    for one, truth, answers in zip(counted, labels, predicted, strict=True):
        assert one.dtype == jnp.float32
        np.testing.assert_array_equal(one, confusion_matrix(truth[mask], answers[mask], 7))


def test_sums_of_two_halves_merge_by_addition():
    labels, predicted = CASES["random"]
    halves = [
        Sums(jnp.float32(loss), jnp.asarray(confusion_matrix(labels[part], predicted[part], 7), jnp.float32))
        for loss, part in ((1.5, slice(0, 100)), (2.0, slice(100, None)))
    ]
    whole = Sums.zero(7).merge(halves[0]).merge(halves[1])
    np.testing.assert_array_equal(whole.confusion, confusion_matrix(labels, predicted, 7))
    assert (float(whole.loss), float(whole.count), float(whole.correct)) == (3.5, 500, (labels == predicted).sum())
