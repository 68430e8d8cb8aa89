"""fer: its detector (OpenCV's Haar cascade) and its network, in TensorFlow Lite ('tflite', its default) or Keras."""

import numpy as np
from fer.fer import FER

from scripts.benchmarks.peers.packages import CROPS
from scripts.benchmarks.peers.pictures import check_faces, read_crops, read_picture
from scripts.benchmarks.protocol import Step, Wait


def create(form: str, task: str, batch: int, data: str, threads: int) -> tuple[Step, Wait]:
    """Make a step of 'crops' or of 'picture'; it runs as it comes, on the cores that the process may use."""
    tflite = form == "tflite"
    if task == CROPS:
        recognizer = FER(use_tflite=tflite, offsets=(0, 0))  # else it adds ten pixels on each side
        # Its one way to give many faces at once is one picture, and where they are in it.
        crops = read_crops(data, batch)
        side = crops.shape[1]
        sheet = np.repeat(crops.reshape(-1, side, 1), 3, axis=-1)
        boxes = [(0, side * row, side, side) for row in range(batch)]
        check_faces(len(recognizer.detect_emotions(sheet, boxes)), task, batch)
        return lambda: recognizer.detect_emotions(sheet, boxes), lambda _: None
    recognizer = FER(use_tflite=tflite)
    picture = np.ascontiguousarray(read_picture(data)[..., ::-1])  # blue, green, red
    check_faces(len(recognizer.detect_emotions(picture)), task, batch)
    return lambda: recognizer.detect_emotions(picture), lambda _: None
