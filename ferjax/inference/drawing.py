"""Pictures with their faces marked: a frame and a label for each."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from ferjax.inference import crops
from ferjax.inference.answers import Answer, Face
from ferjax.inference.pictures import to_rgb

# Colours of Okabe and Ito, as in ferjax.figures.style, which would bring matplotlib.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")


def draw_faces(
    answer: Answer, classes: Sequence[str], *, longest_px: tuple[int, int] | None = None, explained: bool = False
) -> UInt8[np.ndarray, "h w 3"]:
    """Return a copy of a picture with its faces marked; `longest_px` is the width and height that it may have at most.

    Of a face that goes on over frames, the label is that of the smoothed probabilities. With `explained` the faces'
    overlays are laid into the copy.
    """
    pixels = answer.picture.pixels
    if pixels is None:
        raise ValueError(f"{answer.picture.source} has no pixels: it was not read, or they were not kept.")
    image = Image.fromarray(_lay_overlays(to_rgb(pixels), answer.faces) if explained else to_rgb(pixels))
    scale = 1.0
    if longest_px is not None:
        scale = min(1.0, longest_px[0] / image.width, longest_px[1] / image.height)
        image = image.resize(
            (max(1, round(image.width * scale)), max(1, round(image.height * scale))),
            Image.Resampling.BILINEAR,
            reducing_gap=2.0,
        )
    else:
        image = image.copy()
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(max(11, round(min(image.size) / 32)))
    for face in answer.faces:
        _mark(draw, face, classes, font, scale, image.width)
    return np.asarray(image)


def draw_overlays(
    faces: Sequence[Face], *, width_px: int, in_a_row: int, most: int
) -> UInt8[np.ndarray, "h w 3"] | None:
    """Return the overlays of the first `most` faces as rows of small pictures; None where no face has one."""
    overlays = [face.overlay for face in faces if face.overlay is not None][:most]
    if not overlays:
        return None
    side = width_px // in_a_row
    image = Image.new("RGB", (width_px, side * -(-len(overlays) // in_a_row)), "white")
    for number, pixels in enumerate(overlays):
        small = Image.fromarray(pixels).resize((side - 2, side - 2), Image.Resampling.BILINEAR)
        image.paste(small, (number % in_a_row * side, number // in_a_row * side + 2))
    return np.asarray(image)


def _lay_overlays(pixels: UInt8[np.ndarray, "h w 3"], faces: Sequence[Face]) -> UInt8[np.ndarray, "h w 3"]:
    """Return a copy of a picture with the overlay of each face where the face was cut out."""
    copy = pixels.copy()
    for face in reversed(faces):  # the surest face is on top
        if face.overlay is not None:
            crops.paste(copy, face.overlay, face.overlay_at)
    return copy


def _mark(
    draw: ImageDraw.ImageDraw,
    face: Face,
    classes: Sequence[str],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    scale: float,
    picture_width: int,
) -> None:
    probabilities = face.probabilities if face.smooth is None else face.smooth
    best = int(probabilities.argmax())
    color = _COLORS[best % len(_COLORS)]
    left, top, width, height = (value * scale for value in face.box)
    line = max(2, round(width / 60))
    draw.rectangle((left, top, left + width, top + height), outline=color, width=line)
    text = f"{classes[best]} {probabilities[best]:.0%}"
    ink_left, ink_top, ink_right, ink_bottom = draw.textbbox((0, 0), text, font=font)
    wide, high = ink_right - ink_left, ink_bottom - ink_top
    # Above the face, or within it where the picture ends.
    corner_x = min(max(0.0, left), max(0.0, picture_width - wide - 6))
    corner_y = top - high - 6 if top - high - 6 >= 0 else max(0.0, top)
    draw.rectangle((corner_x, corner_y, corner_x + wide + 6, corner_y + high + 6), fill=color)
    draw.text((corner_x + 3 - ink_left, corner_y + 3 - ink_top), text, fill="white", font=font)
