"""facex: its detector (OpenCV's Haar cascade) and its network in TensorFlow Lite, which takes one face at a time."""

import numpy as np
from facex.core import PoolManager

from scripts.benchmarks.peers.packages import CROPS
from scripts.benchmarks.peers.pictures import check_faces, read_crops, read_picture
from scripts.benchmarks.protocol import Step, Wait


def create(form: str, task: str, batch: int, data: str, threads: int) -> tuple[Step, Wait]:
    """Make a step of 'crops' or of 'picture'; it runs as it comes, on the cores that the process may use."""
    pool = PoolManager(pool_size=1)
    if task == CROPS:
        crops, classifier = read_crops(data, batch), pool.get_classifier()
        check_faces(len([classifier.detect_emotion(crop) for crop in crops]), task, batch)
        return lambda: [classifier.detect_emotion(crop) for crop in crops], lambda _: None
    picture = np.ascontiguousarray(read_picture(data)[..., ::-1])  # blue, green, red
    check_faces(len(pool.predict(picture)), task, batch)
    return lambda: pool.predict(picture), lambda _: None
