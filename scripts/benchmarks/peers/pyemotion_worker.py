"""PyEmotion: facenet-pytorch's MTCNN and a small network in PyTorch, which takes one face at a time."""

import numpy as np
import PyEmotion
import torch

from scripts.benchmarks.peers.packages import CROPS
from scripts.benchmarks.peers.pictures import check_faces, read_crops, read_picture
from scripts.benchmarks.protocol import Step, Wait


def create(form: str, task: str, batch: int, data: str, threads: int) -> tuple[Step, Wait]:
    """Make a step of 'crops', for which it has only a private method, or of 'picture'."""
    torch.set_num_threads(threads)
    recognizer = PyEmotion.DetectFace("cpu")
    if task == CROPS:
        crops = read_crops(data, batch)
        check_faces(len([recognizer._predict(crop) for crop in crops]), task, batch)
        return lambda: [recognizer._predict(crop) for crop in crops], lambda _: None
    picture = np.ascontiguousarray(read_picture(data)[..., ::-1])  # blue, green, red
    _, answer = recognizer.predict_emotion(picture.copy())
    check_faces(int(answer != "NoFace"), task, batch)
    return lambda: recognizer.predict_emotion(picture.copy()), lambda _: None  # it draws on what it is given
