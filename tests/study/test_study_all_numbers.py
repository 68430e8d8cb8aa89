import csv

import numpy as np
import pytest
from written_runs import N

from ferjax.data.datasets.fer2013 import EMOTIONS

STATISTICS = ["n", "max", "min", "std", "variance", "mean", "standard_error", "t95_low", "t95_high"]


@pytest.fixture
def lines(written):
    with (written[0] / "report.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_json_holds_every_score_of_every_seed(report):
    test, validation = report["groups"]
    assert [test["split"], validation["split"]] == ["test", "validation"]
    optimal = test["settings"]["optimal"]
    accuracy = optimal["scores"]["accuracy"]
    values = [34 / 42, 33 / 42, 32 / 42]
    assert accuracy["seeds"] == {str(seed): value for seed, value in enumerate(values)}
    assert accuracy["mean"] == pytest.approx(np.mean(values))
    assert accuracy["std"] == pytest.approx(np.std(values, ddof=1))
    assert accuracy["reference"]["mean"] == 0.6932
    assert list(optimal["per_class"]) == list(EMOTIONS)
    assert all(set(scores) == {"precision", "recall", "f1"} for scores in optimal["per_class"].values())
    assert set(optimal["scores"]) >= {"macro_f1", "weighted_f1", "loss", "calibration_error", "accuracy_without_copies"}
    assert np.array(optimal["confusion"]["1"]).trace() == 33
    assert sum(optimal["calibration"]["count"]) == 3 * N
    comparison = test["comparisons"]["no_augmentation"]
    assert comparison["accuracy"]["over_seeds"]["n"] == 2
    assert comparison["accuracy"]["over_images"]["n"] == comparison["macro_f1"]["over_images"]["n"] == N
    assert optimal["data"]["rows"] == 35_887
    assert (test["images"], optimal["images"]) == (N, N)
    assert report["unfinished"][0].endswith("no_augmentation/seed_2")


def test_csv_is_tidy_and_holds_the_same(report, lines):
    assert list(lines[0]) == ["setting", "split", "metric", "class", "statistic", "value", "reference"]
    assert len({tuple(line.values())[:5] for line in lines}) == len(lines)
    found = {tuple(line.values())[:5]: line for line in lines}
    fear = report["groups"][0]["settings"]["optimal"]["per_class"]["fear"]["f1"]
    for statistic in STATISTICS:
        assert float(found["optimal", "test", "f1", "fear", statistic]["value"]) == fear[statistic]
    assert found["optimal", "test", "f1", "fear", "n"]["value"] == "3"
    assert float(found["optimal", "test", "f1", "fear", "mean"]["reference"]) == 0.5532
    assert found["optimal", "test", "precision", "disgust", "max"]["reference"] == ""
    assert float(found["optimal", "test", "accuracy", "", "seed_2"]["value"]) == 32 / 42
    p = report["groups"][0]["comparisons"]["no_augmentation"]["accuracy"]["over_images"]["p"]
    key = ("no_augmentation", "test", "accuracy_difference_over_images", "", "p")
    assert float(found[key]["value"]) == p
    f1 = report["groups"][0]["comparisons"]["no_augmentation"]["macro_f1"]["over_seeds"]["mean"]
    key = ("no_augmentation", "test", "macro_f1_difference_over_seeds", "", "mean")
    assert float(found[key]["value"]) == f1
