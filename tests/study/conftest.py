import contextlib
import io
import json
import shutil

import pytest
from written_runs import write_run

from ferjax.cli.evaluate import main


@pytest.fixture
def setting(tmp_path):
    """Three seeds of the optimal setting."""
    for seed in range(3):
        write_run(tmp_path / "optimal" / f"seed_{seed}", seed, wrong=10 + seed)
    return tmp_path / "optimal"


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory):
    """Four settings of two or three seeds, two of them evaluated on validation; one run is unfinished."""
    root = tmp_path_factory.mktemp("study")
    for seed in range(3):
        write_run(root / "optimal" / f"seed_{seed}", seed, wrong=8 + seed, epochs=3 + seed)
        write_run(root / "no_augmentation" / f"seed_{seed}", seed, config="no_augmentation", wrong=16 + 2 * seed)
        write_run(root / "lr_1e_3" / f"seed_{seed}", seed, config="lr_1e_3", split="validation", wrong=30)
        write_run(root / "batch32" / f"seed_{seed}", seed, config="batch32", split="validation", wrong=9 + seed)
    unfinished = root / "no_augmentation" / "seed_2" / "predictions.csv"
    unfinished.unlink()
    return root


@pytest.fixture(scope="session")
def written(study_folder, tmp_path_factory):
    """A copy of the study's folder after evaluate, and what evaluate printed."""
    folder = tmp_path_factory.mktemp("written") / "study"
    shutil.copytree(study_folder, folder)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert main(["--workdir", str(folder)]) == 0
    assert err.getvalue() == ""
    return folder, out.getvalue()


@pytest.fixture
def report(written):
    """What report.json holds."""
    return json.loads((written[0] / "report.json").read_text())
