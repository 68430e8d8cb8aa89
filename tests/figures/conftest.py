import json

import numpy as np
import pytest
from written_numbers import FULL, write_metrics

from ferjax.report import choose_worst, create_report, write_predictions, write_report


@pytest.fixture
def workdir(tmp_path):
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 7, 40), rng.dirichlet(np.ones(7), 40)
    rows = 200 + np.arange(40)
    write_predictions(tmp_path / "predictions.csv", row=rows, split="test", labels=labels, probabilities=probabilities)
    write_report(tmp_path, create_report(labels, probabilities, "test"))
    worst = choose_worst(labels, probabilities, k=8)
    pixels = rng.integers(0, 256, (len(worst), 48, 48)).astype(np.uint8)
    np.savez(tmp_path / "worst_mistakes.npz", pixels=pixels, row=rows[worst])
    counts = {"train": [70, 7, 70, 140, 70, 70, 70], "validation": [5] * 7, "test": [0] * 7}
    data = {"path": "synthetic", "digest": "", "counts": counts, "skipped": [], "notes": []}
    (tmp_path / "data.json").write_text(json.dumps(data))
    write_metrics(tmp_path, FULL)
    return tmp_path
