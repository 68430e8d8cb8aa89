"""The cache answers when nothing changed, and never when something did."""

import logging
import os
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from ferjax.data import cache, read, reading
from ferjax.errors import UserError


@pytest.fixture
def parses(monkeypatch):
    """How often a data set was parsed, as against found in the cache, and how often a file was hashed."""
    counts = {"parsed": 0, "hashed": 0}

    def counting(name, function):
        def count(*arguments):
            counts[name] += 1
            return function(*arguments)

        return count

    monkeypatch.setattr(reading, "_read_stream", counting("parsed", reading._read_stream))
    monkeypatch.setattr(reading, "_read_images", counting("parsed", reading._read_images))
    monkeypatch.setattr(cache, "hash_file", counting("hashed", cache.hash_file))
    monkeypatch.setattr(cache, "hash_files", counting("hashed", cache.hash_files))
    return counts


@pytest.fixture
def settle():
    """Wait until files just written are old enough for their times to be trusted."""
    return lambda: time.sleep(2 * cache._CLOCK_TICK_NS / 1e9)


@pytest.fixture
def path(tmp_path, make_rows, csv_text, settle):
    path = tmp_path / "fer2013.csv"
    path.write_text(csv_text(make_rows(n=20)))
    settle()
    return path


def _rows_file():
    (file,) = (cache.cache_dir() / "data").glob("*.rows")
    return file


def test_the_second_read_neither_parses_nor_hashes(path, make_rows, same, parses):
    first, second = read(path), read(path)
    assert parses == {"parsed": 1, "hashed": 1}
    same(make_rows(n=20), second)
    assert first.digest == second.digest == cache.hash_file(path)


def test_a_file_that_is_replaced_while_it_is_read_is_not_kept(path, tmp_path, make_rows, csv_text, monkeypatch, same):
    whole, hash_file = path.read_text(), cache.hash_file

    def hash_then_replace(place):
        digest = hash_file(place)
        (tmp_path / "other").write_text(csv_text(make_rows(n=10)))
        (tmp_path / "other").replace(place)
        return digest

    monkeypatch.setattr(cache, "hash_file", hash_then_replace)
    with pytest.raises(UserError, match=r"fer2013\.csv has changed while it was read: start again"):
        read(path)
    monkeypatch.undo()
    path.write_text(whole)
    same(make_rows(n=20), read(path))


def test_a_picture_that_is_replaced_while_its_folder_is_read_is_not_kept(tmp_path, monkeypatch):
    for name in ("train/happy/1.png", "train/sad/2.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("L", (48, 48)).save(tmp_path / name)
    hash_files = cache.hash_files

    def hash_then_replace(files):
        digest = hash_files(files)
        Image.new("L", (48, 48), 255).save(tmp_path / "train/sad/2.png")
        return digest

    monkeypatch.setattr(cache, "hash_files", hash_then_replace)
    with pytest.raises(UserError, match=r"2\.png has changed while it was read: start again"):
        read(tmp_path)


def test_what_a_killed_writer_left_in_the_cache_is_removed(path):
    folder = cache.cache_dir() / "data"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".rows.123.new.rows").touch()
    os.utime(folder / ".rows.123.new.rows", (0, 0))
    read(path)
    assert not (folder / ".rows.123.new.rows").exists()


def test_a_moved_or_touched_file_is_hashed_and_found(tmp_path, path, parses, settle):
    read(path)
    path = path.rename(tmp_path / "moved")
    read(path)
    os.utime(path)
    settle()
    read(path)
    read(path)
    assert parses == {"parsed": 1, "hashed": 3}


def test_changed_content_is_parsed_even_with_the_old_size_and_time(path, make_rows, csv_text, same, parses):
    read(path)
    before = path.stat()
    path.write_text(csv_text(make_rows(n=20)).replace(" 1 ", " 2 "))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    found = read(path)
    assert parses["parsed"] == 2
    assert (found.images != make_rows(n=20).images).any()


def test_a_file_rewritten_at_once_is_not_taken_for_the_old_one(tmp_path, make_rows, csv_text, same):
    path = tmp_path / "fer2013.csv"
    text = csv_text(make_rows(n=2))
    for digit in "3456" * 5:  # faster than the clock behind the file's times may tick
        path.write_text(text.replace(" 1 ", f" {digit} "))
        expected = make_rows(n=2).images.copy()
        expected[expected == 1] = int(digit)
        found = read(path).images
        inner = (slice(None), slice(1, -1), slice(1, -1))  # " 1 " misses a 1 that follows a 1, or stands at an end
        apart = (make_rows(n=2).images[inner] == 1) & (found[inner] == int(digit))
        assert apart.any()


def test_skipped_rows_and_notes_come_back(path, parses, caplog):
    body = path.read_text().splitlines()
    body[3] = "9" + body[3][1:]
    path.write_text("\n".join(body))
    first = read(path, "skip")
    caplog.clear()
    with caplog.at_level(logging.WARNING, "ferjax"):
        second = read(path, "skip")
    assert parses["parsed"] == 1
    assert first.skipped == second.skipped == ("row 3 (line 4): emotion is 9, outside 0..6",)
    assert "Left out 1 bad row of " in caplog.text
    with pytest.raises(UserError, match="row 3"):
        read(path, "error")


def _truncate(data):
    return data[:-100]


def _flip(data):
    return data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]


@pytest.mark.parametrize("damage", [_truncate, _flip, lambda data: b"", lambda data: b"[]\n", lambda data: b"{}\nx"])
def test_a_damaged_cache_is_rebuilt(path, make_rows, same, parses, damage, caplog):
    read(path)
    file = _rows_file()
    file.write_bytes(damage(file.read_bytes()))
    same(make_rows(n=20), read(path))
    assert "is damaged, so the data set is read anew" in caplog.text
    same(make_rows(n=20), read(path))
    assert parses["parsed"] == 2


def test_a_damaged_index_is_ignored(path, parses):
    read(path)
    (index,) = (cache.cache_dir() / "data" / "index").iterdir()
    index.write_text("{")
    read(path)
    assert parses == {"parsed": 1, "hashed": 2}


def test_a_cache_that_cannot_be_written_only_warns(path, make_rows, same, monkeypatch, caplog):
    monkeypatch.setenv("FERJAX_CACHE", str(path / "below_a_file"))
    same(make_rows(n=20), read(path))
    cache.save_arrays("near.npz", {})
    assert cache.load_arrays("near.npz") is None
    (said,) = (record.message for record in caplog.records)  # once, for the digest, the rows and the arrays
    assert said == (
        f"Nothing can be kept in {path / 'below_a_file'} (Not a directory), so that the next start will do the same "
        "work again: name another folder with FERJAX_CACHE."
    )


def test_no_temporary_file_stays(path):
    read(path)
    assert not list(cache.cache_dir().rglob(".*"))


def test_a_new_format_reads_anew(path, parses, monkeypatch):
    read(path)
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    read(path)
    assert parses["parsed"] == 2


def test_a_folder_is_cached_by_what_is_in_it(tmp_path, make_rows, image_files, write_tree, same, parses, settle):
    path = write_tree(tmp_path / "faces", image_files(make_rows(n=20)))
    settle()
    first = read(path)
    second = read(path)
    assert parses == {"parsed": 1, "hashed": 1}
    same(first, second)
    assert first.notes == second.notes
    moved = shutil.move(path, tmp_path / "moved")
    read(moved)
    assert parses == {"parsed": 1, "hashed": 2}
    victim = sorted(path for path in (tmp_path / "moved").rglob("*.png"))[0]
    victim.unlink()
    assert len(read(moved)) == 19
    assert parses == {"parsed": 2, "hashed": 3}


def test_cache_dir_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FERJAX_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    monkeypatch.setenv("HOME", "/c")
    assert str(cache.cache_dir()) == "/a"
    monkeypatch.delenv("FERJAX_CACHE")
    assert str(cache.cache_dir()) == "/b/ferjax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert str(cache.cache_dir()) == "/c/.cache/ferjax"


def test_rows_survive_the_round_trip_with_every_value(tmp_path, make_rows, same):
    rows = make_rows(n=7)
    rows.images[0] = np.arange(48 * 48).reshape(48, 48, 1) % 256
    cache.save(rows, "error")
    same(rows, cache.load("", "error"))
