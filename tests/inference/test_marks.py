"""Where what ferjax makes of a picture goes: never over another file."""

from PIL import Image

from ferjax.inference.marks import choose_path, create_mark, read_file_mark


def make(path, source):
    Image.new("L", (9, 9)).save(path, comment=create_mark(str(source)))


def test_only_what_was_made_of_the_same_source_is_replaced(tmp_path):
    source, other, wanted = (tmp_path / name for name in ("a.png", "b.png", "a.jpg"))
    source.touch()
    other.touch()
    assert choose_path(wanted, str(source), ()) == wanted
    make(wanted, source)
    assert read_file_mark(wanted) == create_mark(str(source))
    assert choose_path(wanted, str(source), ()) == wanted
    assert choose_path(wanted, str(other), ()) == tmp_path / "a_2.jpg"
    assert choose_path(wanted, str(source), {wanted}) == tmp_path / "a_2.jpg"
    (tmp_path / "a_2.jpg").symlink_to("nothing")
    assert choose_path(wanted, str(other), ()) == tmp_path / "a_3.jpg"


def test_a_camera_is_another_source_each_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "camera_0.jpg", "camera 0")
    assert choose_path(tmp_path / "camera_0.jpg", "camera 0", ()) == tmp_path / "camera_0_2.jpg"


def test_a_file_that_goes_along_is_the_users_where_no_picture_of_ours_is_beside_it(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "map.npy").touch()
    assert choose_path(tmp_path / "map.jpg", str(tmp_path / "a.png"), (), beside=(".npy",)) == tmp_path / "map_2.jpg"
    make(tmp_path / "map.jpg", tmp_path / "a.png")
    assert choose_path(tmp_path / "map.jpg", str(tmp_path / "a.png"), (), beside=(".npy",)) == tmp_path / "map.jpg"


def test_what_is_no_picture_has_no_mark(tmp_path):
    for name in ("a.jpg", "a.mp4", "none.png"):
        if name != "none.png":
            (tmp_path / name).write_text("made by ferjax of picture")
        assert read_file_mark(tmp_path / name) is None
