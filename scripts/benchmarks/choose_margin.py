"""Choose the margin around found faces: how the crops that a network was trained on lie to the boxes of a detector.

    python -m scripts.benchmarks.choose_margin --data.path FER2013 [--network RUN] [--detector NAME] [--images 600]

The network is ferjax's own where none is named. Validation images are enlarged, pasted into empty pictures and found
there. Printed are where the original crop lies to the box, in the mean of its width and height, and for several margins
how much of the probabilities moves against the ready crop, how often the label stays, and the accuracy.
"""

import argparse
import dataclasses

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image

import ferjax
from ferjax.inference import crops, detectors
from ferjax.network import Network

# An image is enlarged to this side, and pasted into the middle of a picture of that side.
CROP_PX, PICTURE_PX = 160, 400
SIDES = (0.95, 1.0, 1.05, 1.08, 1.1, 1.15, 1.2)
RAISES = (-0.04, 0.0, 0.02, 0.04, 0.08, 0.12)
VALIDATION = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """The pictures in which a face was found, its boxes, and the number of the image that each shows."""

    pictures: UInt8[np.ndarray, "n h w"]
    boxes: Float[np.ndarray, "n 4"]
    numbers: np.ndarray


def paste(image: UInt8[np.ndarray, "h w 1"]) -> UInt8[np.ndarray, "y x"]:
    """Return a picture that is empty, of the image's mean gray, but for the enlarged image in its middle."""
    large = Image.fromarray(image[..., 0]).resize((CROP_PX, CROP_PX), Image.Resampling.BICUBIC)
    picture = np.full((PICTURE_PX, PICTURE_PX), round(float(image.mean())), np.uint8)
    corner = (PICTURE_PX - CROP_PX) // 2
    picture[corner : corner + CROP_PX, corner : corner + CROP_PX] = np.asarray(large)
    return picture


def find(images: UInt8[np.ndarray, "n h w 1"], detector: detectors.Detector) -> Found:
    """Find the face of each image in its picture; those without one are left out."""
    pictures, boxes, numbers = [], [], []
    for number, image in enumerate(images):
        picture = paste(image)
        found = detector(np.repeat(picture[..., None], 3, axis=-1))
        if len(found):
            pictures.append(picture)
            boxes.append(found.boxes[0].astype(np.float64))
            numbers.append(number)
    return Found(np.stack(pictures), np.stack(boxes), np.array(numbers))


def describe_places(boxes: Float[np.ndarray, "n 4"]) -> None:
    """Print where the original crop lies to the boxes."""
    mean = boxes[:, 2:].mean(axis=1)
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    places = {
        "side": CROP_PX / mean,
        "raise": (centre[:, 1] - PICTURE_PX / 2) / mean,
        "to the right": (PICTURE_PX / 2 - centre[:, 0]) / mean,
    }
    for name, values in places.items():
        tenth, median, ninetieth = np.percentile(values, [10, 50, 90])
        print(f"{name:13} median {median:.3f}, of four in five from {tenth:.3f} to {ninetieth:.3f}")


def classify(network: Network, found: Found, side: float, raised: float) -> Float32[np.ndarray, "n k"]:
    """Return the probabilities of the faces, cut with a margin."""
    mean = found.boxes[:, 2:].mean(axis=1, keepdims=True)
    centre = found.boxes[:, :2] + found.boxes[:, 2:] / 2 - mean * np.array([0.0, raised])
    places = np.concatenate([centre - mean * side / 2, mean * side, mean * side], axis=1)
    cuts = [network.fit(crops.cut(picture, place)[None]) for picture, place in zip(found.pictures, places, strict=True)]
    return network(np.concatenate(cuts))


def main() -> None:
    """Print the places and the margins."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", metavar="RUN")
    parser.add_argument("--data.path", dest="data", required=True, metavar="FER2013")
    parser.add_argument("--detector", choices=list(detectors.DETECTORS))
    parser.add_argument("--images", type=int, default=600)
    chosen = parser.parse_args()
    network, rows = ferjax.load(chosen.network), ferjax.read(chosen.data)
    if rows.usage is None:
        raise SystemExit(f"{chosen.data} has no validation rows of its own.")
    validation = np.random.default_rng(0).permutation(np.nonzero(rows.usage == VALIDATION)[0])[: chosen.images]
    found = find(rows.images[validation], detectors.create(chosen.detector))
    labels = rows.labels[validation][found.numbers]
    ready = network(rows.images[validation][found.numbers])
    print(f"{len(labels)} of {len(validation)} faces were found")
    describe_places(found.boxes)
    print(f"ready crops: accuracy {(ready.argmax(1) == labels).mean():.1%}")
    for side in SIDES:
        for raised in RAISES:
            probabilities = classify(network, found, side, raised)
            moved = np.abs(probabilities - ready).sum(axis=1).mean() / 2
            same = (probabilities.argmax(1) == ready.argmax(1)).mean()
            right = (probabilities.argmax(1) == labels).mean()
            print(f"side {side:.2f}, raise {raised:5.2f}: moved {moved:.3f}, same {same:.1%}, accuracy {right:.1%}")


if __name__ == "__main__":
    main()
