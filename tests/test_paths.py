"""What may be written for a path, and that Orbax reads from every path that the file system allows."""

import os
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import cli, data, networks, paths
from ferjax.cli.flags import FlagMistake, file_path
from ferjax.data.cache import cache_dir
from ferjax.errors import UserError
from ferjax.networks.weights import copies
from tests.tiny import create_first_state, create_parts

WEIGHTS = networks.weights


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.parse("~/x") == tmp_path / "x"
    assert paths.parse("a/~/x") == pathlib.Path("a/~/x")
    assert file_path("~/x") == tmp_path / "x"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=str(tmp_path / "empty")):
        data.read("~/empty")


@pytest.mark.parametrize("text", ["~nobody_is_called_so/x", "~nobody_is_called_so"])
def test_a_home_that_is_not_known_is_a_sentence(text):
    with pytest.raises(UserError, match=r"There is no home folder ~nobody_is_called_so here: write the whole path\."):
        paths.parse(text)
    with pytest.raises(FlagMistake, match="There is no home folder"):
        file_path(text)
    with pytest.raises(UserError, match="There is no home folder"):
        data.read(text)


@pytest.mark.parametrize(
    "text",
    ["gs://bucket/run", "s3://bucket", "https://host/x", "file:///x", "hf://a/b", pathlib.Path("gs://bucket/run")],
)
def test_an_address_is_refused(text):
    with pytest.raises(UserError, match="is an address, and ferjax reads and writes only files and folders"):
        paths.parse(text)


def test_an_empty_path_is_a_sentence():
    with pytest.raises(UserError, match="A path is empty, where a file or folder must be named"):
        paths.parse("")


@pytest.mark.parametrize("text", ["x" * 1000, "a/" * 3000])
def test_a_path_that_is_too_long_is_a_sentence(text):
    with pytest.raises(UserError, match=rf"^{text[:60]}\.\.\. is no path: it, or a name in it, is too long\.$"):
        paths.parse(text)


@pytest.mark.parametrize("text", ["a:b/c", "C:/x", "gs:", "x/gs://y", "http"])
def test_what_only_looks_like_an_address_is_a_path(text):
    assert paths.parse(text) == pathlib.Path(text)


def test_every_flag_of_a_path_takes_it_by_the_one_rule():
    sources = pathlib.Path(cli.__file__).parent.glob("*.py")
    text = "".join(path.read_text() for path in sources)
    assert "type=pathlib.Path" not in text
    for flag in ("--workdir", "--output"):
        declared = text.count(f'"{flag}"')
        assert declared, flag
    assert text.count("type=file_path") >= 6


def test_without_a_home_the_cache_is_elsewhere_and_that_is_said(monkeypatch, caplog, tmp_path):
    def fail(*_):
        raise RuntimeError("Could not determine home directory.")

    for name in ("FERJAX_CACHE", "XDG_CACHE_HOME", "KERAS_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pathlib.Path, "home", fail)
    assert str(os.getuid()) in cache_dir().name
    assert "There is no home folder, so the cache is in " in caplog.text
    for source in ("keras", "torchvision"):
        assert [folder.name for folder in copies._folders(source)] == ["weights"]


@pytest.mark.parametrize("name", ["run [1]", "back\\slash é\udcff"])
def test_a_checkpoint_can_be_read_again_under_any_name(tmp_path, name):
    # Imported here: Orbax is slow to import, which the tests above need not wait for.
    from ferjax.training.checkpoint import Checkpoints, read_network
    from ferjax.training.places import Place

    parts = create_parts(shorter={"stages": ((1, 2),)})
    state = create_first_state(parts)
    checkpoints = Checkpoints(tmp_path / name / "checkpoints")
    checkpoints.save(Place(True, 3, False), state)
    checkpoints.close()
    restored = Checkpoints(tmp_path / name / "checkpoints").restore(state, best_metric="accuracy")
    assert jnp.array_equal(restored.params["head"]["output"]["kernel"], state.params["head"]["output"]["kernel"])
    variables, about = read_network(tmp_path / name / "checkpoints")
    assert about["checkpoint"] == "step_3"
    assert np.array_equal(variables["params"]["head"]["output"]["kernel"], state.params["head"]["output"]["kernel"])
