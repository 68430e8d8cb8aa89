import dataclasses
import math

import numpy as np
import pytest
import scipy.stats

from ferjax.scores.confusion import average_macro, confusion_matrix, find_f1
from ferjax.study.paired_tests import compare_images, compare_macro_f1, compare_seeds, correct_holm, describe


def test_a_description_is_that_of_the_textbook():
    # Deviations from the mean 5 sum in squares to 32; t(0.975, 7) = 2.364624.
    got = describe(np.array([2.0, 4, 4, 4, 5, 5, 7, 9]))
    assert (got.n, got.max, got.min, got.mean) == (8, 9, 2, 5)
    assert got.variance == pytest.approx(32 / 7)
    assert got.std == pytest.approx(math.sqrt(32 / 7))
    assert got.standard_error == pytest.approx(math.sqrt(32 / 7 / 8))
    reach = 2.3646243 * math.sqrt(4 / 7)
    assert (got.t95_low, got.t95_high) == pytest.approx((5 - reach, 5 + reach), abs=1e-6)


def test_one_seed_has_no_spread():
    got = dataclasses.asdict(describe(np.array([0.7])))
    assert {name for name, value in got.items() if value is None} == {
        "std",
        "variance",
        "standard_error",
        "t95_low",
        "t95_high",
    }
    with pytest.raises(ValueError, match="no values"):
        describe(np.zeros(0))


def test_the_test_over_seeds_is_the_paired_t_test():
    # Differences 1, 2, 3, 4: mean 2.5, s = 1.29099, t = 3.872983, of which a t of 3 degrees has 0.030466 beyond.
    baseline = np.array([0.3, 0.9, 0.1, 0.5])
    got = compare_seeds(baseline + np.arange(1, 5), baseline)
    assert (got.n, got.note) == (4, "")
    assert got.mean == pytest.approx(2.5)
    assert got.p == pytest.approx(0.030466, abs=1e-6)
    assert got.high - got.mean == pytest.approx(3.182446 * 1.290994 / 2, abs=1e-5)
    # Paired: the order of one side matters.
    assert compare_seeds(baseline + np.arange(1, 5), baseline[::-1]).p != pytest.approx(got.p)


@pytest.mark.parametrize(
    ("ours", "baseline", "note"),
    [
        ([], [], "no seed in common"),
        ([0.7], [0.6], "one common seed"),
        ([0.7, 0.8], [0.6, 0.7], "the same difference at every seed"),
        ([0.7, 0.7], [0.7, 0.7], "the same difference at every seed"),
    ],
)
def test_where_no_test_is_possible_it_is_said(ours, baseline, note):
    got = compare_seeds(np.array(ours, np.float64), np.array(baseline, np.float64))
    assert note in got.note
    assert got.p is got.low is got.high is None
    assert got.n == len(ours)


def test_the_bootstrap_over_images_is_that_by_indices():
    rng = np.random.default_rng(0)
    ours, baseline = rng.integers(0, 4, 300) / 3, rng.integers(0, 3, 300) / 2
    got = compare_images(ours, baseline)
    differences = ours - baseline
    means = differences[rng.integers(0, 300, (20_000, 300))].mean(axis=1)
    assert got.mean == pytest.approx(differences.mean())
    spread = differences.std() / math.sqrt(300)
    assert got.low == pytest.approx(np.quantile(means, 0.025), abs=0.06 * spread)
    assert got.high == pytest.approx(np.quantile(means, 0.975), abs=0.06 * spread)
    assert got.p == pytest.approx(2 * min((means <= 0).mean(), (means >= 0).mean()), rel=0.15, abs=0.01)
    assert got == compare_images(ours, baseline)
    other = compare_images(baseline, ours)
    assert other.p == pytest.approx(got.p, rel=0.15, abs=0.01)
    assert other.mean == -got.mean


def test_the_bootstraps_p_is_never_zero_and_at_most_one():
    wrong, right = np.zeros(50), np.ones(50)
    assert compare_images(right, wrong, resamples=999).p == 2 / 1000
    assert compare_images(right, right).p == 1
    with pytest.raises(ValueError, match="no images"):
        compare_images(np.zeros(0), np.zeros(0))


def test_a_difference_of_chance_alone_is_rarely_significant():
    rng = np.random.default_rng(1)
    p = [compare_images(rng.integers(0, 2, 200) / 1, rng.integers(0, 2, 200) / 1, resamples=500).p for _ in range(200)]
    assert 0 <= np.mean(np.array(p) < 0.05) <= 0.1
    assert scipy.stats.kstest(p, "uniform").pvalue > 1e-3


def test_the_bootstrap_of_the_macro_f1_is_that_of_each_seed():
    rng = np.random.default_rng(0)
    n = 200
    labels = rng.integers(0, 4, n)  # class 4 is absent
    ours, baseline = (
        np.where(rng.random((k, n)) < share, labels, rng.integers(0, 5, (k, n))) for k, share in ((3, 0.6), (2, 0.5))
    )

    def measure(chosen):
        predicted = [seed[chosen] for seeds in (ours, baseline) for seed in seeds]
        scores = [float(average_macro(find_f1(confusion_matrix(labels[chosen], seed, 5)))) for seed in predicted]
        return np.mean(scores[: len(ours)]) - np.mean(scores[len(ours) :])

    got = compare_macro_f1(labels, ours, baseline, 5)
    assert got.n == n
    assert got.mean == pytest.approx(measure(np.arange(n)))
    means = [measure(rng.integers(0, n, n)) for _ in range(400)]
    spread = np.std(means)
    assert got.low == pytest.approx(np.quantile(means, 0.025), abs=0.25 * spread)
    assert got.high == pytest.approx(np.quantile(means, 0.975), abs=0.25 * spread)
    assert 0.01 < got.p < 0.5
    assert got.p == pytest.approx(2 * np.mean(np.array(means) <= 0), abs=0.06)
    assert got == compare_macro_f1(labels, ours, baseline, 5)
    assert compare_macro_f1(labels, baseline, ours, 5).mean == pytest.approx(-got.mean)
    # The same resamples, so that only the last of them, fewer than the others, can go wrong.
    assert compare_macro_f1(labels, ours, ours, 5, resamples=201).p == 1
    wrong = (labels[None] + 1) % 5
    assert compare_macro_f1(labels, labels[None], wrong, 5, resamples=201).p == pytest.approx(2 / 202)
    with pytest.raises(ValueError, match="no images"):
        compare_macro_f1(labels[:0], ours[:, :0], baseline[:, :0], 5)


def test_holm_corrects_as_in_the_paper_and_passes_over_what_was_not_tested():
    # Sorted: 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1, which may not fall below the one before.
    assert correct_holm([0.01, None, 0.04, 0.03, 0.005]) == pytest.approx([0.03, None, 0.06, 0.06, 0.02])
    assert correct_holm([0.6, 0.9]) == [1, 1]
    assert correct_holm([None]) == [None]
    assert correct_holm([]) == []
