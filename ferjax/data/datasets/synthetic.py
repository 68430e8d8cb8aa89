"""Drawn faces of the seven emotions: a stand-in for FER-2013 that needs no download and can really be learned.

A face is an identity (head, tones, feature sizes), a pose and light, and an expression: the fourteen numbers of
EXPRESSIONS, moved from the neutral face towards the emotion's by a random intensity and blurred by noise, so that a
faint sadness is nearly a neutral face and a fearful one nearly a surprised one. The expressions follow the action units
of Ekman and Friesen, Facial Action Coding System, 1978 (brow lowerer, lid raiser, nose wrinkler, lip corner puller).

Pixels are made with + - * / and sqrt only, which IEEE 754 rounds the same way on every processor, so that a seed means
the same faces on every machine.
"""

import hashlib
import types

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from ferjax.data.datasets import ferplus
from ferjax.data.datasets.fer2013 import EMOTIONS, SIDE_PX, USAGES
from ferjax.data.rows import Rows
from ferjax.errors import UserError
from ferjax.keys import Key, Keys, Range

KEYS: Keys = types.MappingProxyType(
    {
        "synthetic_rows": Key(
            4000,
            Range(70, 1_000_000, whole=True),
            "how many faces are drawn when the data set is 'synthetic'",
            resume="never",
        ),
        # Drawn faces have the emotions of FER-2013, so that someone may ask for the labels of FER+.
        "labels": ferplus.KEYS["labels"],
    }
)

LICENCE = (
    "The faces are drawn by ferjax: nobody's picture is in them, and ferjax's own licence, Apache-2.0, covers them."
)

Field = Float32[np.ndarray, "b 48 48"]  # a value per pixel
PerFace = Float32[np.ndarray, "b 1 1"]  # a value per face

BLOCK_FACES = 64  # faces drawn at once: their fields fit a core's cache

# Lengths are in half frames (24 px), v points down, slopes are per half frame. One column an emotion, then the noise.
EXPRESSIONS = {
    #               angry disgust fear  happy  sad  surprise neutral  noise
    "brow_height": (-0.09, -0.05, 0.08, 0.01, 0.01, 0.13, 0.00, 0.026),  # raised is positive
    "brow_slope": (-0.50, -0.28, 0.36, 0.02, 0.42, 0.06, 0.00, 0.091),  # positive: the inner end is the higher one
    "brow_arch": (0.40, 0.60, 0.60, 1.10, 0.60, 2.10, 0.90, 0.350),  # curvature
    "eye_top": (0.055, 0.040, 0.135, 0.050, 0.052, 0.140, 0.075, 0.012),  # upper lid above the eye's centre
    "eye_bottom": (0.045, 0.022, 0.075, 0.018, 0.050, 0.080, 0.050, 0.008),  # lower lid below it
    "lid_droop": (-0.10, 0.02, 0.05, 0.00, 0.24, 0.00, 0.00, 0.056),  # the outer corner hangs
    "mouth_curve": (-0.07, -0.10, -0.05, 0.17, -0.13, 0.00, 0.00, 0.030),  # corners above the middle
    "mouth_width": (0.25, 0.25, 0.31, 0.38, 0.25, 0.18, 0.27, 0.028),  # half of it
    "mouth_open_up": (0.020, 0.050, 0.035, 0.020, 0.004, 0.085, 0.004, 0.012),
    "mouth_open_down": (0.035, 0.022, 0.100, 0.110, 0.006, 0.190, 0.006, 0.020),
    "teeth": (0.75, 0.60, 0.45, 0.95, 0.00, 0.10, 0.00, 0.168),  # how white the upper half of the opening is
    "nose_wrinkle": (0.15, 0.90, 0.00, 0.05, 0.00, 0.00, 0.00, 0.098),
    "frown": (0.80, 0.30, 0.15, 0.00, 0.15, 0.00, 0.00, 0.112),  # upright lines between the brows
    "cheek_fold": (0.15, 0.70, 0.10, 0.75, 0.10, 0.00, 0.05, 0.126),  # from nostril to mouth corner
}
INTENSITY = (0.35, 1.1)  # of the expression: 0 is neutral, 1 the table's

# Identity, pose and light: uniform in (low, high).
VARIATIONS = {
    "head_width": (0.68, 0.84),
    "head_height": (0.90, 1.06),
    "jaw": (0.02, 0.22),  # how much narrower the chin is
    "eye_spread": (0.28, 0.35),
    "eye_height": (0.10, 0.18),
    "eye_width": (0.125, 0.165),
    "iris": (0.055, 0.075),
    "gaze": (-0.03, 0.03),
    "brow_gap": (0.22, 0.27),
    "brow_length": (0.17, 0.22),
    "brow_thickness": (0.028, 0.055),
    "nose_length": (0.20, 0.28),
    "nose_width": (0.07, 0.11),
    "mouth_height": (0.46, 0.55),
    "mouth_scale": (0.9, 1.1),
    "lip": (0.03, 0.06),
    "hairline": (-0.85, -0.60),
    "skin_tone": (0.40, 0.85),
    "hair_tone": (0.05, 0.40),
    "background_tone": (0.05, 0.95),
    "half_turn": (-0.085, 0.085),  # tangent of half the angle in the image: up to 10 degrees
    "shift_x": (-0.08, 0.08),
    "shift_y": (-0.08, 0.08),
    "scale": (0.88, 1.08),
    "turn": (-0.07, 0.07),  # features slide sideways over the head
    "light_x": (-0.28, 0.28),
    "light_y": (-0.22, 0.22),
    "noise": (0.010, 0.045),
}


def read(path: str, on_bad_row: str, *, synthetic_rows: int, labels: str) -> Rows:
    """Draw the faces of a run; raises UserError for the labels of FER+."""
    if labels != "fer2013":
        raise UserError(f"data.labels is '{labels}', but nobody voted on drawn faces: give FER-2013 as data.path")
    return draw(synthetic_rows)


def draw(n: int, seed: int = 0) -> Rows:
    """Draw n labelled faces, nearly the same number of each emotion, 80/10/10 by usage within every emotion.

    The same (n, seed) gives the same rows. From 70 rows on, every emotion is in every usage; a small CNN learns 4,000
    rows to about 90 % on held-out ones. Raises ValueError for n < 1.
    """
    if n < 1:
        raise ValueError(f"n is {n}, but at least one face must be drawn")
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n, dtype=np.int32) % len(EMOTIONS))
    faces = _draw_faces(rng, labels)
    images = np.empty((n, SIDE_PX, SIDE_PX, 1), np.uint8)
    for start in range(0, n, BLOCK_FACES):
        block = slice(start, start + BLOCK_FACES)
        images[block, :, :, 0] = _render({name: values[block] for name, values in faces.items()}, rng)
    usage = _assign_usage(labels)
    return Rows(
        images=images,
        labels=labels,
        classes=EMOTIONS,
        usage=usage,
        usages=USAGES,
        digest=hashlib.sha256(images.tobytes() + labels.tobytes() + usage.tobytes()).hexdigest(),
        source="synthetic",
        notes=(f"{n} faces drawn by ferjax from seed {seed}, not photographs",),
    )


def _assign_usage(labels: Int32[np.ndarray, " n"]) -> UInt8[np.ndarray, " n"]:
    """Give every ten faces of an emotion their usage: eight Training, one PublicTest, one PrivateTest."""
    usage = np.zeros(len(labels), np.uint8)
    for label in range(len(EMOTIONS)):
        members = np.flatnonzero(labels == label)
        usage[members[8::10]] = 1
        usage[members[9::10]] = 2
    return usage


def _draw_faces(rng: np.random.Generator, labels: Int32[np.ndarray, " n"]) -> dict[str, Float32[np.ndarray, "n 1 1"]]:
    """Draw every face's value of every name in EXPRESSIONS and VARIATIONS."""
    faces = {name: rng.uniform(low, high, len(labels)) for name, (low, high) in VARIATIONS.items()}
    intensity = rng.uniform(*INTENSITY, len(labels))
    for name, (*means, noise) in EXPRESSIONS.items():
        neutral = means[EMOTIONS.index("neutral")]
        faces[name] = neutral + intensity * (np.array(means)[labels] - neutral) + noise * rng.normal(size=len(labels))
    for name in (
        "eye_top",
        "eye_bottom",
        "mouth_open_up",
        "mouth_open_down",
        "teeth",
        "nose_wrinkle",
        "frown",
        "cheek_fold",
    ):
        faces[name] = np.maximum(faces[name], 0.0)
    faces["mouth_width"] *= faces.pop("mouth_scale")
    half = faces.pop("half_turn")
    faces |= {"cos": (1 - half**2) / (1 + half**2), "sin": 2 * half / (1 + half**2)}
    return {name: values.astype(np.float32)[:, None, None] for name, values in faces.items()}


def _render(face: dict[str, PerFace], rng: np.random.Generator) -> UInt8[np.ndarray, "b 48 48"]:
    """Paint back to front: background, hair, head, then what moves on it; light and noise last."""
    centres = (2 * np.arange(SIDE_PX, dtype=np.float32) + 1) / SIDE_PX - 1
    x, y = centres[None, None, :], centres[None, :, None]
    dx, dy = x - face["shift_x"], y - face["shift_y"]
    u = (face["cos"] * dx + face["sin"] * dy) / face["scale"]
    v = (face["cos"] * dy - face["sin"] * dx) / face["scale"]
    image = np.broadcast_to(face["background_tone"], u.shape) + 0.15 * x * y
    _paint_head(image, face, u, v)
    # Both halves of the face are drawn at once from the distance to its middle line.
    u -= face["turn"]
    side = np.abs(u)
    _paint_eyes(image, face, u, side, v)
    _paint_brows(image, face, side, v)
    _paint_nose(image, face, side, v)
    _paint_mouth(image, face, side, v)
    image *= 1 + face["light_x"] * x + face["light_y"] * y
    image += face["noise"] * rng.standard_normal(image.shape, dtype=np.float32)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def _cover(distance: Field) -> Field:
    """Return how much of a pixel a shape covers, from the signed distance to its edge: a ramp one pixel (2/48) wide."""
    return np.clip(0.5 - distance * (SIDE_PX / 2), 0, 1)


def _paint(image: Field, cover: Field, tone: PerFace | Field) -> None:
    """Lay a tone over the image where the shape covers it, in place."""
    image += cover * (tone - image)


def _stroke(distance: Field, along: Field, thickness: float | PerFace, length: float | PerFace) -> Field:
    """Return a line's cover: `distance` from its middle, `along` from its centre, half its thickness and length."""
    return _cover(np.maximum(np.abs(distance) - thickness, np.abs(along) - length))


def _paint_head(image: Field, face: dict[str, PerFace], u: Field, v: Field) -> None:
    width, height, skin = face["head_width"], face["head_height"], face["skin_tone"]
    radius = np.sqrt((u / (width * (1 - face["jaw"] * v))) ** 2 + (v / height) ** 2)
    _paint(image, _cover((radius - 1.12) * width) * (v < 0.35), face["hair_tone"])
    # The head darkens towards its edge, as round things do; the hairline is highest in the middle of the forehead.
    hairline = face["hairline"] + 0.45 * u * u
    _paint(image, _cover(np.maximum((radius - 1) * width, hairline - v)), skin * (1.05 - 0.22 * radius * radius))


def _paint_eyes(image: Field, face: dict[str, PerFace], u: Field, side: Field, v: Field) -> None:
    skin, width = face["skin_tone"], face["eye_width"]
    across = side - face["eye_spread"]
    down = v + face["eye_height"] - face["lid_droop"] * across
    lens = 1 - (across / width) ** 2  # 1 in the middle, 0 at the corners, negative beyond
    lids = np.maximum(-down - face["eye_top"] * lens, down - face["eye_bottom"] * lens)
    eye = _cover(np.maximum(lids, -lens * 0.1))
    lid_line = _cover(np.abs(down + face["eye_top"] * lens) - 0.022) * (lens > 0)
    _paint(image, eye, np.minimum(skin + 0.30, 0.97))
    # Both eyes look the same way, so the gaze is measured without the mirror.
    toward = across - face["gaze"] * np.sign(u)
    iris = np.sqrt(toward * toward + (down + 0.01) ** 2) - face["iris"]
    _paint(image, eye * _cover(iris), skin * 0.12)
    _paint(image, lid_line, skin * 0.30)


def _paint_brows(image: Field, face: dict[str, PerFace], side: Field, v: Field) -> None:
    skin, length = face["skin_tone"], face["brow_length"]
    across = side - face["eye_spread"]
    line = face["brow_slope"] * across + face["brow_arch"] * (across * across - length * length / 2)
    middle = -(face["eye_height"] + face["brow_gap"] + face["brow_height"])
    brow = _stroke(v - middle - line, across, face["brow_thickness"], length)
    _paint(image, brow, np.minimum(face["hair_tone"], skin * 0.55))
    frown = _stroke(side - 0.055, v + face["eye_height"] + 0.17, 0.012, 0.09)
    _paint(image, 0.8 * np.minimum(face["frown"], 1) * frown, skin * 0.35)


def _paint_nose(image: Field, face: dict[str, PerFace], side: Field, v: Field) -> None:
    skin, width = face["skin_tone"], face["nose_width"]
    wrinkle = np.minimum(face["nose_wrinkle"], 1)
    tip = face["nose_length"] - 0.05 * wrinkle  # wrinkling pulls the nose up
    bridge = _stroke(side - 0.4 * width - 0.12 * (v + 0.1), v - tip / 2 + 0.05, 0.010, tip / 2)
    _paint(image, 0.35 * bridge, skin * 0.6)
    nostril = np.sqrt((side - width) ** 2 + 2 * (v - tip) ** 2) - 0.035 - 0.015 * wrinkle
    _paint(image, 0.8 * _cover(nostril), skin * 0.3)
    for height in (-0.09, 0.02):
        fold = _stroke(v - height + 0.7 * side, side, 0.013, 0.12)
        _paint(image, 0.9 * wrinkle * fold, skin * 0.4)
    # A line from beside the nostril down and out to the corner of the mouth.
    reach = face["mouth_height"] - tip
    along = v - tip - reach / 2
    slant = (face["mouth_width"] + 0.10 - width - 0.07) / reach
    crease = _stroke(side - (width + 0.07) - slant * (v - tip), along, 0.016, reach / 2)
    _paint(image, 0.6 * np.minimum(face["cheek_fold"], 1) * crease, skin * 0.45)


def _paint_mouth(image: Field, face: dict[str, PerFace], side: Field, v: Field) -> None:
    skin, width = face["skin_tone"], face["mouth_width"]
    part = side / width
    lens = 1 - part * part
    down = v - face["mouth_height"] + face["mouth_curve"] * (part * part - 0.5)
    upper, lower = face["mouth_open_up"], face["mouth_open_down"]
    ends = -0.5 * width * lens
    lips = np.maximum(np.maximum(-down - (upper + face["lip"]) * lens, down - (lower + 1.3 * face["lip"]) * lens), ends)
    _paint(image, _cover(lips), skin * 0.62)
    opening = np.maximum(np.maximum(-down - upper * lens, down - lower * lens) - 0.012, ends)
    inside = _cover(opening)
    _paint(image, inside, skin * 0.15)
    teeth = _cover(down - (lower - upper) / 2 * lens) * _cover(opening + 0.02)
    _paint(image, np.minimum(face["teeth"], 1) * teeth, np.minimum(skin + 0.25, 0.95))
