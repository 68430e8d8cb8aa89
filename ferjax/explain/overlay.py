"""Maps as pictures: colours over the image that they explain."""

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]

# The least side of an overlay; a 48-pixel face is hard to look at.
LEAST_SIDE_PX = 288
_STRONGEST = 0.65  # how much of a pixel is colour where the map is largest
# Few pixels of a signed map are far above all others: the strongest colour begins at this percentile, and each pixel is
# blurred over its neighbours, with this deviation in pixels.
_PERCENTILE, _BLUR_PX = 99.0, 0.8
_FOR, _AGAINST = (0.85, 0.1, 0.1), (0.15, 0.3, 0.9)
# From dark violet to yellow: the scale called plasma (Smith & van der Walt 2015), at nine places.
_SCALE = np.array(
    [
        (0.050, 0.030, 0.528),
        (0.294, 0.012, 0.631),
        (0.494, 0.012, 0.658),
        (0.659, 0.134, 0.588),
        (0.798, 0.280, 0.470),
        (0.899, 0.423, 0.361),
        (0.973, 0.585, 0.253),
        (0.993, 0.771, 0.155),
        (0.940, 0.975, 0.131),
    ]
)


def overlay(
    image: UInt8[np.ndarray, "h w"] | UInt8[np.ndarray, "h w c"],
    values: Float[np.ndarray, "p q"],
    *,
    signed: bool,
    least_side_px: int = LEAST_SIDE_PX,
) -> UInt8[np.ndarray, "y x 3"]:
    """Lay a map over its image, enlarged where it is small; the map may have another size than the image.

    Red is for the class and blue against it (`signed`); without a sign, from dark violet to yellow is more for it. What
    has nothing stays as it is, and the largest numbers of the map have the strongest colour.
    """
    picture = Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image).convert("RGB")
    factor = max(1, -(-least_side_px // min(picture.size)))
    size = (picture.width * factor, picture.height * factor)
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    smooth = gaussian_filter(values, _BLUR_PX) if signed else values
    largest = float(np.percentile(np.abs(smooth), _PERCENTILE))
    scaled = (smooth / largest if largest > 0 else smooth).clip(-1, 1).astype(np.float32)
    drawn = np.asarray(Image.fromarray(scaled).resize(size, Image.Resampling.BILINEAR))[..., None]
    colours = np.where(drawn > 0, _FOR, _AGAINST) if signed else _colour(drawn[..., 0])
    strength = _STRONGEST * np.abs(drawn)
    mixed = np.asarray(picture, np.float32) * (1 - strength) + 255 * colours * strength
    return np.asarray(mixed.clip(0, 255) + 0.5, np.uint8)


def _colour(values: Float[np.ndarray, "y x"]) -> Float[np.ndarray, "y x 3"]:
    """Return the colour, 0..1, of each value in 0..1."""
    places = np.linspace(0, 1, len(_SCALE))
    return np.stack([np.interp(values, places, channel) for channel in _SCALE.T], axis=-1)
