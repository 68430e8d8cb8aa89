import pytest
from written_runs import write_run

from ferjax.errors import UserError
from ferjax.study.folders import create_slugs, find_runs, natural_key


def test_runs_too_deep_hidden_or_in_checkpoints_are_not_found(tmp_path):
    write_run(tmp_path / "a" / "b" / "c", 0)
    for hidden in ("a/b/d/e", "checkpoints/b", ".hidden/b", "tensorboard/b", "figures/b"):
        write_run(tmp_path / hidden, 1)
    write_run(tmp_path / "a" / "b" / "c" / "inside", 2)
    assert find_runs([tmp_path]).runs == [tmp_path / "a" / "b" / "c"]


def test_slugs_of_different_names_differ():
    assert create_slugs(["a/b", "a b", "a_b", "a-b", "A_b_2", "c"]) == [
        "a_b",
        "a_b_2",
        "a_b_3",
        "a-b_4",
        "A_b_2_2",
        "c",
    ]


def test_numbers_in_names_sort_as_numbers():
    assert sorted(["batch32", "batch2048", "batch2", "a", "7"], key=natural_key) == [
        "7",
        "a",
        "batch2",
        "batch32",
        "batch2048",
    ]


def test_folders_without_runs_are_named(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=rf"{folder} (holds no run|is not a folder).*--workdir {folder}'"):
            find_runs([folder])
