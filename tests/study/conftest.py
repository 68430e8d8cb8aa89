import pytest
from written_runs import write_run


@pytest.fixture
def setting(tmp_path):
    """Three seeds of the optimal setting."""
    for seed in range(3):
        write_run(tmp_path / "optimal" / f"seed_{seed}", seed, wrong=10 + seed)
    return tmp_path / "optimal"


@pytest.fixture(scope="module")
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
