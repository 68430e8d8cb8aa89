"""Archives of any of the editions, whole, nested and damaged."""

import gzip
import io
import tarfile
import zipfile

import numpy as np
import pytest

from ferjax.data import read
from ferjax.errors import UserError

EDITIONS = ["csv", "icml", "folder"]
PACKERS = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]


def pack(files, kind):
    """The bytes of an archive of files (name: content)."""
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(fileobj=buffer, mode=f"w:{kind[4:]}") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def edition(csv_text, image_files):
    def files(rows, kind):
        if kind == "csv":
            return {"fer2013/fer2013.csv": csv_text(rows).encode(), "fer2013/README": b"About the data set.\n"}
        if kind == "icml":
            return {"icml_face_data.csv": csv_text(rows, "eup").encode()}
        return {f"archive/{name}": content for name, content in image_files(rows).items()}

    return files


def _error(path):
    with pytest.raises(UserError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", EDITIONS)
@pytest.mark.parametrize("packer", PACKERS)
def test_each_edition_in_each_archive(tmp_path, make_rows, edition, same, kind, packer):
    rows = make_rows(n=40)
    path = tmp_path / "download"
    path.write_bytes(pack(edition(rows, kind), packer))
    same(rows, read(path))


def test_a_compressed_csv(tmp_path, make_rows, csv_text, same):
    path = tmp_path / "fer2013.csv.gz"
    path.write_bytes(gzip.compress(csv_text(make_rows(n=9)).encode()))
    same(make_rows(n=9), read(path))


@pytest.fixture
def competition(make_rows, csv_text, lines):
    """The members of Kaggle's competition zip."""
    rows = make_rows(n=20)
    return {
        "example_submission.csv": b"0\n0\n",
        "fer2013.tar.gz": pack({"fer2013/fer2013.csv": csv_text(make_rows(n=20, seed=1)).encode()}, "tar.gz"),
        "icml_face_data.csv": csv_text(rows, "eup").encode(),
        "test.csv": "\n".join(["pixels", *(line.split(",")[1] for line in lines(rows))]).encode(),
        "train.csv": "\n".join(["emotion,pixels", *(line.rsplit(",", 1)[0] for line in lines(rows))]).encode(),
    }


def test_the_competition_zip_takes_the_csv_with_all_columns(tmp_path, make_rows, competition, same):
    path = tmp_path / "challenges-in-representation-learning.zip"
    path.write_bytes(pack(competition, "zip"))
    found = read(path)
    same(make_rows(n=20), found)
    assert found.notes == ("took icml_face_data.csv, not example_submission.csv, fer2013.tar.gz, test.csv, train.csv",)


@pytest.mark.parametrize("packer", ["folder", "zip", "tar.gz"])
def test_the_competition_without_its_csv_opens_the_inner_archive(
    tmp_path, make_rows, competition, same, write_tree, packer
):
    del competition["icml_face_data.csv"]
    path = tmp_path / "download"
    if packer == "folder":
        write_tree(path, competition)
    else:
        path.write_bytes(pack(competition, packer))
    found = read(path)
    same(make_rows(n=20, seed=1), found)
    assert found.notes[0].startswith("took fer2013.tar.gz, not example_submission.csv")


def test_the_competition_unpacked_to_a_folder(tmp_path, make_rows, competition, same, write_tree):
    same(make_rows(n=20), read(write_tree(tmp_path / "folder", competition)))


def test_only_train_csv_has_no_split_and_only_test_csv_no_labels(tmp_path, competition):
    path = tmp_path / "download.zip"
    path.write_bytes(pack({name: competition[name] for name in ("train.csv", "test.csv")}, "zip"))
    assert read(path).usage is None
    path.write_bytes(pack({"test.csv": competition["test.csv"]}, "zip"))
    message = _error(path)
    assert "lacks the columns emotion, Usage" in message
    assert "test.csv" in message


@pytest.mark.parametrize("packer", PACKERS)
def test_a_bad_row_names_the_member(tmp_path, make_rows, csv_text, packer):
    body = csv_text(make_rows(n=9)).splitlines()
    body[4] = "8" + body[4][1:]
    path = tmp_path / "download"
    path.write_bytes(pack({"fer2013.csv": "\n".join(body).encode()}, packer))
    assert f"{path}, member fer2013.csv, row 4 (line 5): emotion is 8, outside 0..6" in _error(path)


@pytest.mark.parametrize("kind", EDITIONS)
@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("share", [0.3, 0.9, 0.995])
def test_a_cut_off_archive(tmp_path, make_rows, edition, kind, packer, share):
    content = pack(edition(make_rows(n=12), kind), packer)
    if packer == "tar":  # less the padding, which carries nothing
        content = content[: len(content.rstrip(b"\0")) + 512]
    path = tmp_path / "download"
    path.write_bytes(content[: int(share * len(content))])
    assert "is a damaged or cut-off archive" in _error(path)


def test_a_tar_cut_between_two_members(tmp_path, make_rows, edition):
    content = pack(edition(make_rows(n=4), "folder"), "tar")
    second = content.index(b"archive/", 1 + content.index(b"archive/"))
    path = tmp_path / "download"
    path.write_bytes(content[:second])
    assert "is a damaged or cut-off archive (unexpected end of data): download it again" in _error(path)


@pytest.mark.parametrize("packer", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_flipped_byte(tmp_path, make_rows, edition, packer):
    content = bytearray(pack(edition(make_rows(n=12), "csv"), packer))
    content[len(content) // 3] ^= 0xFF
    path = tmp_path / "download"
    path.write_bytes(content)
    _error(path)


def test_a_zip_with_a_file_without_a_name(tmp_path, make_rows, edition):
    path = tmp_path / "fer2013.zip"
    path.write_bytes(pack(edition(make_rows(n=40), "folder"), "zip").replace(b"archive/", b"\0rchive/"))
    assert "a file in it has no name" in _error(path)


def test_a_zip_whose_name_is_no_text_in_one_of_two_places(tmp_path, make_rows, edition):
    path = tmp_path / "fer2013.zip"
    content = bytearray(pack({"\u00e9.csv": edition(make_rows(n=40), "csv")["fer2013/fer2013.csv"]}, "zip"))
    at = content.index("\u00e9.csv".encode())
    content[at] = 0xFF
    path.write_bytes(content)
    assert "damaged" in _error(path)


def test_a_damaged_archive_within_an_archive_is_named(tmp_path, competition):
    path = tmp_path / "download.zip"
    path.write_bytes(pack({"fer2013.tar.gz": competition["fer2013.tar.gz"][:-100]}, "zip"))
    assert _error(path).startswith(f"{path}, member fer2013.tar.gz is a damaged or cut-off archive")


def test_nothing_of_use_inside(tmp_path):
    path = tmp_path / "download.zip"
    path.write_bytes(pack({"weights.npy": b"\x93NUMPY\0\0"}, "zip"))
    assert "holds neither a csv with the columns emotion, pixels, Usage nor images (but weights.npy)" in _error(path)
    path.write_bytes(pack({}, "zip"))
    assert "holds no files" in _error(path)
    path.write_bytes(pack({"a.zip": pack({}, "zip"), "b.zip": pack({}, "zip")}, "zip"))
    assert "holds 2 archives: unpack a.zip or another" in _error(path)
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    assert "is neither a csv nor a zip or tar archive" in _error(path)
    nested = pack({"x": b"y"}, "zip")
    for _ in range(8):
        nested = pack({"inner.zip": nested}, "zip")
    path.write_bytes(nested)
    assert "is an archive within 4 others" in _error(path)
