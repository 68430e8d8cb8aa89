import os
import shutil
import sys
import types
import warnings
import zlib

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache

from ferjax import compile_cache, runtime

ENTRY = zlib.compress(b"an executable" * 100)


@pytest.mark.parametrize("broken", [ENTRY[:-1], ENTRY[:9], b"", bytes(500)])
def test_an_entry_that_was_cut_off_is_removed(tmp_path, broken):
    (tmp_path / "one-cache").write_bytes(ENTRY)
    (tmp_path / "two-cache").write_bytes(broken)
    (tmp_path / "note").write_bytes(broken)
    assert compile_cache.remove_broken(tmp_path) == ["two-cache"]
    assert {path.name for path in tmp_path.iterdir() if path.name[0] != "."} == {"one-cache", "note"}


def test_an_entry_is_unpacked_once(tmp_path, monkeypatch):
    (tmp_path / "one-cache").write_bytes(ENTRY)
    assert compile_cache.remove_broken(tmp_path) == []
    unpacked = []
    monkeypatch.setattr(compile_cache, "is_whole", lambda entry: unpacked.append(entry) or True)
    assert compile_cache.remove_broken(tmp_path) == []
    assert unpacked == []
    (tmp_path / "two-cache").write_bytes(ENTRY)
    os.utime(tmp_path / "one-cache", ns=(0, 0))
    assert compile_cache.remove_broken(tmp_path) == []
    assert len(unpacked) == 2


@pytest.mark.parametrize("seen", ["", "[]", "{"])
def test_what_was_seen_may_be_broken_or_missing(tmp_path, seen):
    (tmp_path / "one-cache").write_bytes(ENTRY[:-1])
    (tmp_path / ".ferjax_seen.json").write_text(seen)
    assert compile_cache.remove_broken(tmp_path) == ["one-cache"]
    assert compile_cache.remove_broken(tmp_path / "nowhere") == []


def test_zstd_is_unpacked_where_it_can_be(monkeypatch):
    entry = b"\x28\xb5\x2f\xfd rest"
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert compile_cache.is_whole(entry)  # nobody here can tell

    def decompress(_):
        raise RuntimeError("cut off")

    monkeypatch.setitem(sys.modules, "compression.zstd", types.SimpleNamespace(decompress=decompress))
    assert not compile_cache.is_whole(entry)


@pytest.fixture
def kept():
    """Give jax its own cache again behind a test that gave it another one."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def compile_anew():
    """Have jax compile what it has not compiled, and keep it, however short that took."""
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    compilation_cache.reset_cache()
    jax.jit(lambda x: jnp.sin(x) * 3)(jnp.float32(1))


@pytest.mark.parametrize("variable", ["FERJAX_CACHE", "JAX_COMPILATION_CACHE_DIR"])
def test_a_folder_in_which_nothing_can_be_kept_is_one_sentence(tmp_path, monkeypatch, caplog, kept, variable):
    """jax would warn of each program, which is an error here."""
    (tmp_path / "file").touch()
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    for _ in range(2):
        runtime.keep_compiled()
        compile_anew()
    (said,) = (record.message for record in caplog.records)
    assert said.startswith(f"Nothing can be kept in {tmp_path / 'file'} (")
    assert said.endswith(f": name another folder with {variable}.")


def test_a_folder_that_may_only_be_read_is_read(tmp_path, monkeypatch, caplog, kept):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compile_cache, "find_refusal", lambda _: PermissionError(13, "Permission denied"))
    runtime.keep_compiled()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path)
    assert f"Nothing can be kept in {tmp_path} (Permission denied)" in caplog.text


def test_a_folder_that_vanishes_later_ends_nothing(tmp_path, monkeypatch, kept):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "cache"))
    runtime.keep_compiled()
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").touch()
    compile_anew()


def test_finding_out_whether_a_folder_takes_files_leaves_none(tmp_path):
    assert compile_cache.find_refusal(tmp_path / "new") is None
    assert not list((tmp_path / "new").iterdir())


def test_jax_has_a_whole_entry_again_after_a_kill(tmp_path, monkeypatch, kept):
    """Without the look through the cache jax warns, which is an error here, and the entry stays cut off."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))

    def compile_once():
        with warnings.catch_warnings():  # a command does not show what jax warns of
            runtime.keep_compiled()
        compile_anew()
        return max(tmp_path.glob("*lambda*-cache"), key=lambda path: path.stat().st_size)

    entry = compile_once()
    whole = entry.read_bytes()
    entry.write_bytes(whole[: len(whole) // 2])
    assert compile_once() == entry
    assert compile_cache.is_whole(entry.read_bytes())
