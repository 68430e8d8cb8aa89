"""Where what ferjax makes of a picture goes: never over another file."""

import os
import sys

from PIL import Image

from ferjax.files import replacing
from ferjax.inference.marks import Places, create_mark, read_file_mark


def make(path, source, **options):
    Image.new("L", (9, 9)).save(path, comment=create_mark(str(source), **options))


def choose(wanted, source, **options):
    return Places().choose(wanted, str(source), **options)


def test_only_what_was_made_of_the_same_source_is_replaced(tmp_path):
    source, other, wanted = (tmp_path / name for name in ("a.png", "b.png", "a.jpg"))
    source.touch()
    other.touch()
    assert choose(wanted, source) == wanted
    make(wanted, source)
    assert read_file_mark(wanted) == create_mark(str(source))
    assert choose(wanted, source) == wanted
    assert choose(wanted, other) == tmp_path / "a_2.jpg"
    (tmp_path / "a_2.jpg").symlink_to("nothing")
    assert choose(wanted, other) == tmp_path / "a_3.jpg"


def test_namesakes_of_one_run_have_a_number_each_and_the_same_ones_in_another_order(tmp_path):
    sources = [tmp_path / f"{name}.png" for name in "abc"]
    for source in sources:
        source.touch()
    places = Places()
    first = [places.choose(tmp_path / "x.jpg", str(source)) for source in sources]
    assert [path.name for path in first] == ["x.jpg", "x_2.jpg", "x_3.jpg"]
    assert places.written == set(first)
    for path, source in zip(first, sources, strict=True):
        make(path, source)
    places = Places()
    assert [places.choose(tmp_path / "x.jpg", str(source)) for source in sources[::-1]] == first[::-1]


def test_a_camera_is_another_source_each_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "camera_0.jpg", "camera 0")
    assert choose(tmp_path / "camera_0.jpg", "camera 0") == tmp_path / "camera_0_2.jpg"


def test_an_array_is_the_users_where_no_map_says_that_it_is_its_own(tmp_path):
    source, wanted = tmp_path / "a.png", tmp_path / "map.jpg"
    source.touch()
    (tmp_path / "map.npy").touch()
    assert choose(wanted, source, array=".npy") == tmp_path / "map_2.jpg"
    make(wanted, source)
    assert choose(wanted, source, array=".npy") == tmp_path / "map_2.jpg"
    assert choose(wanted, source) == wanted
    make(wanted, source, with_array=True)
    assert choose(wanted, source, array=".npy") == wanted


def test_a_pipe_is_not_waited_for_and_a_long_name_is_cut(tmp_path):
    (tmp_path / "a.png").touch()
    os.mkfifo(tmp_path / "a.jpg")
    assert choose(tmp_path / "a.jpg", tmp_path / "a.png") == tmp_path / "a_2.jpg"
    for letter in ("a", "ü"):
        name = choose(tmp_path / f"{letter * 250}.jpg", tmp_path / "a.png").name
        assert name.endswith(f"{letter * 50}.jpg")
        with replacing(tmp_path / name) as beside:
            beside.touch()


def test_what_is_no_picture_has_no_mark(tmp_path):
    for name in ("a.jpg", "a.mp4", "none.png"):
        if name != "none.png":
            (tmp_path / name).write_text("made by ferjax of picture")
        assert read_file_mark(tmp_path / name) is None


def test_without_pyav_a_video_has_no_mark(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").touch()
    monkeypatch.setitem(sys.modules, "av", None)
    assert read_file_mark(tmp_path / "a.mp4") is None
