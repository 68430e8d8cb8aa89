"""Where pictures come from: every kind is read as a person sees it, and nothing is lost."""

import base64
import errno
import io
import os

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ferjax.data.readers.archive import FolderTree
from ferjax.inference.marks import PNG_KEY, create_mark
from ferjax.inference.sources import Counts, find_pictures

LEVELS = np.arange(0, 240, dtype=np.uint8).reshape(12, 20)


def read(source, **options):
    return [load() for load in find_pictures(source, **options)]


def to_bytes(image, form="PNG", **options):
    data = io.BytesIO()
    image.save(data, form, **options)
    return data.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        LEVELS,
        LEVELS[..., None],
        LEVELS.astype(np.uint16) * 257,
        LEVELS.astype(np.float32) / 255,
        LEVELS.astype(np.float64),
        LEVELS.astype(np.int64),
    ],
)
def test_a_gray_array_of_any_type_is_its_levels(array):
    (picture,) = read(array)
    assert picture.pixels.dtype == np.uint8
    np.testing.assert_array_equal(picture.pixels, LEVELS)


def test_arrays_of_colour_and_of_several_images():
    colour = np.stack([LEVELS, LEVELS[::-1], LEVELS[:, ::-1]], axis=-1)
    np.testing.assert_array_equal(read(colour)[0].pixels, colour)
    assert [picture.pixels.shape for picture in read(np.stack([colour] * 3))] == [(12, 20, 3)] * 3
    assert [picture.source for picture in read(np.stack([LEVELS] * 3))] == ["0", "1", "2"]
    opaque = np.concatenate([colour, np.full((12, 20, 1), 255, np.uint8)], axis=-1)
    np.testing.assert_array_equal(read(opaque)[0].pixels, colour)
    opaque[..., 3] = 0
    assert (read(opaque)[0].pixels == 255).all()


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((1, 4, 4, 7)), "no image"),
        (np.zeros((40, 30, 2)), r"an array of shape [40, 30, 2] is no image"),
        (np.zeros((40, 30, 7)), "no image"),
        (np.zeros(5), "no image"),
        (np.full((4, 4), np.nan), "its levels go from nan"),
        (np.full((4, 4), -1.0), "its levels go from -1"),
    ],
)
def test_an_array_that_is_no_image_is_told(array, said):
    (picture,) = read([array])[:1]
    assert picture.pixels is None
    assert said in picture.reason


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "1", "I;16", "CMYK"])
@pytest.mark.parametrize("given", ["path", "bytes", "image"])
def test_an_image_of_any_mode_is_what_a_person_sees(tmp_path, mode, given):
    white = np.zeros((8, 8), np.uint8)
    white[:, 4:] = 255
    image = Image.fromarray(white)
    image = Image.fromarray(white.astype(np.uint16) * 257) if mode == "I;16" else image.convert("RGB").convert(mode)
    data = to_bytes(image, "TIFF" if mode == "CMYK" else "PNG")
    (tmp_path / "one.png").write_bytes(data)
    source = {"path": tmp_path / "one.png", "bytes": data, "image": Image.open(io.BytesIO(data))}[given]
    (picture,) = read(source)
    assert picture.reason == ""
    gray = picture.pixels if picture.pixels.ndim == 2 else picture.pixels[..., 0]
    np.testing.assert_array_equal(gray, white)


def test_a_photograph_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # to be turned by a quarter, clockwise
    Image.fromarray(np.rot90(LEVELS)).save(tmp_path / "one.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "one.png")[0].pixels, LEVELS)


def test_transparent_is_white(tmp_path):
    Image.fromarray(np.zeros((4, 4, 4), np.uint8), "RGBA").save(tmp_path / "one.png")
    assert (read(str(tmp_path / "one.png"))[0].pixels == 255).all()


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.JPG", "deep/er/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(to_bytes(Image.fromarray(LEVELS), "JPEG" if name.endswith("JPG") else "PNG"))
    (tmp_path / "notes.txt").write_text("no image")
    noise = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8)
    (tmp_path / "broken.png").write_bytes(to_bytes(Image.fromarray(noise))[:800])
    (tmp_path / "empty.jpg").write_bytes(b"")
    return tmp_path


def test_a_folder_is_searched_in_order_and_nothing_is_lost(folder, caplog):
    caplog.set_level("INFO", "ferjax")
    found = {picture.source.removeprefix(f"{folder}/"): picture.reason for picture in read(folder)}
    assert list(found) == ["a.JPG", "b.png", "broken.png", "deep/er/c.png", "empty.jpg"]
    assert {name for name, reason in found.items() if reason} == {"broken.png", "empty.jpg"}
    assert found["empty.jpg"] == "an empty file, not an image"
    assert caplog.messages == [f"Left aside what is neither an image nor a video in {folder}: notes.txt"]


def test_globs_iterators_and_what_is_not_there(folder):
    names = [picture.source for picture in read(f"{folder}/**/*.png")]
    assert [name.removeprefix(f"{folder}/") for name in names] == ["b.png", "broken.png", "deep/er/c.png"]
    told = {
        picture.source: picture.reason
        for picture in read(
            iter(
                [
                    "no.png",
                    "~nobody_is_called_so/a.png",
                    f"{folder}/*.gif",
                    "https://a.example/b.png",
                    LEVELS,
                    folder / "b.png",
                ]
            )
        )
    }
    assert told == {
        "no.png": "there is no such file",
        "~nobody_is_called_so/a.png": "There is no home folder ~nobody_is_called_so here: write the whole path.",
        f"{folder}/*.gif": "no file is called so",
        "https://a.example/b.png": "an address, and ferjax reads and writes only files and "
        "folders: copy or mount what is there, and name the folder.",
        "0": "",
        f"{folder}/b.png": "",
    }
    (folder / "nothing").mkdir()
    (folder / "links").mkdir()
    (folder / "links" / "gone.jpg").symlink_to("nowhere.jpg")
    assert [(picture.source, picture.reason) for picture in read(folder / "links")] == [
        (f"{folder}/links/gone.jpg", "a link to what is not there")
    ]
    assert read(folder / "nothing")[0].reason == "a folder without any image or video"


def test_arrays_of_jax_and_bytes_of_any_kind_are_pictures():
    (picture,) = read(jnp.asarray(LEVELS))
    np.testing.assert_array_equal(picture.pixels, LEVELS)
    assert len(read([jnp.asarray(LEVELS), jnp.zeros((3, 9, 9, 3))])) == 4
    data = to_bytes(Image.fromarray(LEVELS))
    for kind in (bytearray, memoryview):
        np.testing.assert_array_equal(read(kind(data))[0].pixels, LEVELS)


def test_what_is_no_picture_costs_no_other_of_an_iterator_and_numbers_within_are_no_cameras():
    found = read([LEVELS, None, LEVELS.tolist(), [[200, 201], [202, 203]], object, LEVELS])
    assert [picture.pixels is not None for picture in found] == [True, *[False] * (1 + 12 + 2 + 1), True]
    assert found[1].reason == "None in an iterable is no picture: give an array, an image or a path"
    assert {picture.reason for picture in found[2:16]} == {
        "a list of numbers is no picture: give an array, an image or a path"
    }
    assert "camera" in read([97])[0].reason


def test_a_glob_searches_the_folders_that_it_names_and_names_nothing_twice(folder):
    def names(pattern):
        return [picture.source.removeprefix(f"{folder}/") for picture in read(f"{folder}/{pattern}")]

    assert names("d*") == ["deep/er/c.png"]
    assert names("*") == ["a.JPG", "b.png", "broken.png", "deep/er/c.png", "empty.jpg", "notes.txt"]
    assert sorted(names("**")) == ["a.JPG", "b.png", "broken.png", "deep/er/c.png", "empty.jpg"]


def test_links_among_the_folders_of_a_glob_name_nothing_twice(folder):
    (folder / "again").symlink_to(folder / "deep")
    assert [picture.source.removeprefix(f"{folder}/") for picture in read(f"{folder}/[ad][ge]*")] == ["again/er/c.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
@pytest.mark.parametrize(("mode", "told"), [(0, ["deep"]), (0o644, ["deep/er"])])
def test_a_real_folder_that_cannot_be_read_is_a_row(folder, mode, told):
    (folder / "deep").chmod(mode)
    try:
        found = {picture.source.removeprefix(f"{folder}/"): picture.reason for picture in read(folder)}
    finally:
        (folder / "deep").chmod(0o700)
    assert list(found) == ["a.JPG", "b.png", "broken.png", "empty.jpg", *told]


def test_what_cannot_be_looked_at_costs_no_other_file(folder):
    (folder / "c_itself.png").symlink_to("c_itself.png")  # looking at it raises OSError
    found = {picture.source.removeprefix(f"{folder}/"): picture.reason for picture in read(folder)}
    assert set(found) == {"a.JPG", "b.png", "broken.png", "deep/er/c.png", "empty.jpg", "c_itself.png"}
    assert "that cannot be read" in found["c_itself.png"]


def test_a_folder_that_cannot_be_read_costs_only_itself(folder, monkeypatch):
    real = os.scandir

    def scan(path):
        if str(path).endswith("/er"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scan)
    found = {picture.source.removeprefix(f"{folder}/"): picture.reason for picture in read(folder)}
    assert list(found) == ["a.JPG", "b.png", "broken.png", "empty.jpg", "deep/er"]
    assert found["deep/er"] == "a folder that cannot be read (Permission denied)"
    # Training does not go on with a part of its data.
    with pytest.raises(OSError, match=r"deep/er"):
        FolderTree(folder)


def test_hidden_pictures_and_what_ferjax_made_are_left_aside_with_a_word(folder, caplog):
    caplog.set_level("INFO", "ferjax")
    (folder / "b.png").rename(folder / ".b.png")
    Image.fromarray(LEVELS).save(folder / "copy.jpg", comment=create_mark("b.png"))
    texts = PngInfo()
    texts.add_text(PNG_KEY, create_mark("b.png"))
    Image.fromarray(LEVELS).save(folder / "deep" / "map.png", pnginfo=texts)
    assert "deep/er/c.png" in [picture.source.removeprefix(f"{folder}/") for picture in read(folder)]
    assert len(read(folder)) == 4
    assert [message.rpartition(": ")[2] for message in caplog.messages[:3]] == [
        "notes.txt",
        ".b.png",
        f"{folder}/copy.jpg, {folder}/deep/map.png",
    ]
    # Named itself, each is answered.
    assert not read(folder / "copy.jpg")[0].reason
    assert not read(folder / ".b.png")[0].reason
    assert len(read(f"{folder}/*.jpg")) == 1
    assert "copy.jpg" in caplog.messages[-1]
    (told,) = read(f"{folder}/co*.jpg")
    assert told.reason == "nothing but what ferjax made of other pictures: name one to have it answered"


def test_an_endless_iterator_is_taken_one_by_one():
    def endless():
        while True:
            yield LEVELS

    loads = find_pictures(endless())
    assert [next(loads)().source for _ in range(3)] == ["0", "1", "2"]


def test_an_image_file_with_several_pictures_gives_all_of_them(tmp_path):
    frames = [Image.fromarray(np.full((8, 8), level, np.uint8)) for level in (0, 100, 200, 250)]
    frames[0].save(tmp_path / "one.gif", save_all=True, append_images=frames[1:], duration=40)
    counts = Counts()
    found = read(tmp_path / "one.gif", stride=2, counts=counts)
    assert [(picture.frame, round(picture.time_s, 3)) for picture in found] == [(0, 0.0), (2, 0.08)]
    assert [int(np.asarray(picture.pixels).max()) for picture in found] == [0, 200]
    (name,) = counts.frames
    assert (counts.frames[name], counts.skipped[name]) == (4, 2)


def test_a_broken_picture_among_several_is_told_once_and_none_comes_twice(tmp_path):
    chance = np.random.default_rng(0)
    frames = [Image.fromarray(chance.integers(0, 256, (40, 40), np.uint8)) for _ in range(3)]
    data = to_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:])
    (tmp_path / "cut.gif").write_bytes(data[:-900])
    found = read(tmp_path / "cut.gif")
    assert [picture.frame for picture in found] == [0, 1, 2]
    assert [picture.pixels is None for picture in found] == [False, False, True]
    assert found[2].reason


def test_a_program_in_postscript_is_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("it was run"))
    (tmp_path / "face.png").write_bytes(to_bytes(Image.new("RGB", (9, 9)), "EPS"))
    (picture,) = read(tmp_path / "face.png")
    assert "PostScript" in picture.reason


@pytest.mark.parametrize("stride", [1, 3])
def test_every_frame_of_a_video_is_there_or_counted(video_file, stride):
    counts = Counts()
    found = read(video_file, stride=stride, counts=counts)
    assert [picture.frame for picture in found] == list(range(0, 20, stride))
    np.testing.assert_allclose([picture.time_s for picture in found], np.arange(0, 20, stride) / 10, atol=1e-6)
    assert len(found) + counts.skipped[str(video_file)] == counts.frames[str(video_file)] == 20
    assert found[0].pixels.shape == (90, 160, 3)
    assert found[0].moving


def test_a_damaged_video_is_told(tmp_path, video_file):
    data = video_file.read_bytes()
    (tmp_path / "head.mp4").write_bytes(data[: len(data) // 3])
    (tmp_path / "none.mp4").write_bytes(b"no video at all")
    for name in ("head.mp4", "none.mp4"):
        (picture,) = read(tmp_path / name)
        assert "not a readable video" in picture.reason
    assert "there is no camera 97" in read(97)[0].reason


def test_every_frame_of_a_video_with_damage_within_is_accounted_for(tmp_path, video_file):
    av = pytest.importorskip("av")
    data = bytearray(video_file.read_bytes())
    with av.open(str(video_file)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][4]
    data[packet.pos + 4 : packet.pos + packet.size] = b"\xff" * (packet.size - 4)
    (tmp_path / "hurt.mp4").write_bytes(data)
    found = read(tmp_path / "hurt.mp4")
    assert [picture.frame for picture in found] == list(range(20))


@pytest.mark.parametrize(
    ("codec", "hurt"), [("libx264", (6, 7)), ("libx264", (6, 11)), ("mpeg4", (6, 7)), ("mpeg4", (12,))]
)
def test_a_damaged_frame_has_its_own_time(tmp_path, codec, hurt):
    """A decoder with threads says it some packets later, and shows frames in another order than they are stored in."""
    av = pytest.importorskip("av")
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    with av.open(str(tmp_path / "whole.mp4"), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        noise = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
        for number in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(noise, 3 * number, 1), format="rgb24")))
        container.mux(stream.encode(None))
    data = bytearray((tmp_path / "whole.mp4").read_bytes())
    with av.open(str(tmp_path / "whole.mp4")) as container:
        stored = [packet for packet in container.demux(video=0) if packet.size]
    for packet in (stored[number] for number in hurt):
        data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    (tmp_path / "hurt.mp4").write_bytes(data)
    found = read(tmp_path / "hurt.mp4")
    first_s = min(packet.pts for packet in stored) * stored[0].time_base
    expected = sorted(float(stored[number].pts * stored[number].time_base - first_s) for number in hurt)
    np.testing.assert_allclose([picture.time_s for picture in found if picture.reason], expected, atol=1e-6)
    times = [picture.time_s for picture in found]
    assert times == sorted(set(times))
    assert [picture.frame for picture in found] == list(range(len(found)))


def test_a_video_that_breaks_off_says_so(tmp_path, video_file):
    av = pytest.importorskip("av")
    path = tmp_path / "whole.mkv"
    with av.open(str(video_file)) as container, av.open(str(path), "w") as copy:
        stream = copy.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    assert all(not picture.reason for picture in read(path))
    with av.open(str(path)) as container:
        end = [packet.pos for packet in container.demux(video=0) if packet.size][6]
    (tmp_path / "cut.mkv").write_bytes(path.read_bytes()[:end])
    *frames, last = read(tmp_path / "cut.mkv")
    assert frames
    assert all(not picture.reason for picture in frames)
    assert "the video breaks off here" in last.reason
    assert "of 2.0 s" in last.reason


def test_a_pipe_is_a_reason_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    (told,) = (load() for load in find_pictures([str(tmp_path / "a.png")]))
    assert told.reason == "a pipe or a device: save it as a file"


def test_an_address_that_holds_its_picture_is_that_picture_and_an_endless_name_is_a_reason():
    text = base64.b64encode(to_bytes(Image.fromarray(LEVELS))).decode()
    held, broken, endless = (load() for load in find_pictures([f"data:image/png;base64,{text}", "data:x", "a" * 5000]))
    np.testing.assert_array_equal(held.pixels, LEVELS)
    assert held.source == "0"
    assert broken.reason == "there is no such file"
    assert endless.reason


@pytest.mark.parametrize("text", ["base64,!!", "base64,", "base64,A", "charset=x;base64,\u00e9", "hex,00"])
def test_a_damaged_address_says_that_it_is_one(text):
    (told,) = (load() for load in find_pictures([f"data:image/png;{text}"]))
    assert told.reason == "a data: address that is damaged or not in base64 (data:image/png;base64,...)"


@pytest.mark.parametrize("form", [str, lambda text: text.rstrip("="), lambda text: text.replace("+", "%2B")])
def test_an_address_is_read_as_browsers_read_it(form):
    text = form(base64.encodebytes(to_bytes(Image.fromarray(LEVELS))).decode())  # with line breaks
    (held,) = (load() for load in find_pictures([f"data:image/png;base64,{text}"]))
    np.testing.assert_array_equal(held.pixels, LEVELS)
