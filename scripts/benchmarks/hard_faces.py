"""Pictures on which a face detector is tried: 18 hard variants of a portrait, 100 small faces, and none at all.

The portrait is scikit-image's `astronaut` (NASA, in the public domain); the pictures without faces are others of its.
"""

import dataclasses
import io
from collections.abc import Iterator

import numpy as np
import skimage.data
from jaxtyping import UInt8
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

RGB = UInt8[np.ndarray, "h w 3"]

_SIDE_PX = 512
# Of the face in the portrait, in pixels: its centre, and its width from ear to ear.
_CENTRE, _WIDTH_PX = (224.0, 115.0), 95.0
_HEAD = (150, 20, 300, 200)
_GRAY = (110, 110, 110)
# Of the sheet of small faces: its side, and how many faces are in a row and in a column.
_SHEET_PX, _PER_ROW = 1000, 10
_WITHOUT_FACES = (
    *("brick", "chelsea", "coffee", "coins", "grass", "gravel", "hubble_deep_field", "immunohistochemistry"),
    *("moon", "page", "retina", "rocket", "text"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Hard:
    """A picture with one face: where its centre is, and how wide the face is, in pixels."""

    name: str
    image: RGB
    centre: tuple[float, float]
    width_px: float


def create_variants() -> Iterator[Hard]:
    """Yield 18 variants of the portrait, 512x512 pixels."""
    portrait = Image.fromarray(skimage.data.astronaut())
    random = np.random.default_rng(0)
    variants = {
        "as it is": portrait,
        "gray": ImageOps.grayscale(portrait),
        "rotated 30 degrees": _rotate(portrait, 30),
        "rotated -30 degrees": _rotate(portrait, -30),
        "rotated 45 degrees": _rotate(portrait, 45),
        "a quarter as bright": ImageEnhance.Brightness(portrait).enhance(0.25),
        "twice as bright": ImageEnhance.Brightness(portrait).enhance(2.0),
        "a quarter of the contrast": ImageEnhance.Contrast(portrait).enhance(0.25),
        "blurred by 3 pixels": portrait.filter(ImageFilter.GaussianBlur(3)),
        "blurred by 6 pixels": portrait.filter(ImageFilter.GaussianBlur(6)),
        "noise of 40 levels": _add_noise(portrait, 40, random),
        "noise of 60 levels": _add_noise(portrait, 60, random),
        "JPEG of quality 5": _compress(portrait, 5),
        "mouth covered": _cover(portrait, (180, 135, 270, 180)),
        "eyes covered": _cover(portrait, (180, 88, 270, 112)),
    }
    for name, image in variants.items():
        yield Hard(name, np.asarray(image.convert("RGB")), _CENTRE, _WIDTH_PX)
    mirrored = (_SIDE_PX - _CENTRE[0], _CENTRE[1])
    yield Hard("mirrored", np.asarray(ImageOps.mirror(portrait)), mirrored, _WIDTH_PX)
    for width_px in (24, 16):
        scale = width_px / _WIDTH_PX
        side = round(_SIDE_PX * scale)
        corner = (_SIDE_PX - side) // 2
        canvas = Image.new("RGB", portrait.size, _GRAY)
        canvas.paste(portrait.resize((side, side), Image.Resampling.LANCZOS), (corner, corner))
        centre = (corner + scale * _CENTRE[0], corner + scale * _CENTRE[1])
        yield Hard(f"{width_px} pixels wide", np.asarray(canvas), centre, width_px)


def create_sheet(width_px: int) -> RGB:
    """Return a picture of 100 faces of a width, each turned, mirrored or lit in another way."""
    head = Image.fromarray(skimage.data.astronaut()).crop(_HEAD)
    scale = width_px / _WIDTH_PX
    small = head.resize((round(head.width * scale), round(head.height * scale)), Image.Resampling.LANCZOS)
    sheet = Image.new("RGB", (_SHEET_PX, _SHEET_PX), _GRAY)
    random, cell = np.random.default_rng(1), _SHEET_PX // _PER_ROW
    for i in range(_PER_ROW**2):
        face = ImageOps.mirror(small) if i % 2 else small
        face = ImageEnhance.Brightness(face).enhance(random.uniform(0.5, 1.3))
        face = face.rotate(random.uniform(-20, 20), Image.Resampling.BICUBIC, fillcolor=_GRAY)
        sheet.paste(face, (i % _PER_ROW * cell + 8, i // _PER_ROW * cell + 6))
    return np.asarray(sheet)


def list_without_faces() -> list[RGB]:
    """Return pictures without any human face, as large as the portrait at most."""
    pictures = []
    for name in _WITHOUT_FACES:
        image = Image.fromarray(np.asarray(getattr(skimage.data, name)())).convert("RGB")
        image.thumbnail((700, 700))
        pictures.append(np.asarray(image))
    return pictures


def _rotate(image: Image.Image, degrees: float) -> Image.Image:
    return image.rotate(degrees, Image.Resampling.BICUBIC, center=_CENTRE, fillcolor=_GRAY)


def _add_noise(image: Image.Image, levels: float, random: np.random.Generator) -> Image.Image:
    noisy = np.asarray(image, np.float64) + random.normal(0, levels, (image.height, image.width, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _compress(image: Image.Image, quality: int) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Image.open(data)


def _cover(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    covered = image.copy()
    covered.paste((30, 30, 30), box)
    return covered
