"""Try face detectors on hard pictures: how many faces each finds, how many it invents, how long it takes.

    python -m scripts.benchmarks.find_faces [NAME ...]

NAME is one of ferjax.inference.detectors.DETECTORS; by default all of them. Times are medians, taken in turns on the
portrait of 512x512 pixels. It wants a quiet machine.
"""

import argparse
import functools
import statistics

from ferjax.inference import detectors
from ferjax.inference.detectors import Detections, Detector
from scripts.benchmarks.hard_faces import Hard, create_sheet, create_variants, list_without_faces
from scripts.benchmarks.turns import time_in_turns

ROUNDS = 15
SMALL_PX = (20, 24, 32, 48)


def is_found(detections: Detections, hard: Hard) -> list[bool]:
    """Say of each box whether it is the face: it holds its centre, and is neither half nor twice as wide."""
    right = []
    for x, y, width, height in detections.boxes.tolist():
        holds = x < hard.centre[0] < x + width and y < hard.centre[1] < y + height
        right.append(holds and 0.5 * hard.width_px < width < 2 * hard.width_px)
    return right


def try_detector(name: str, detector: Detector) -> None:
    """Print what a detector finds."""
    missed, invented = [], 0
    variants = list(create_variants())
    for hard in variants:
        right = is_found(detector(hard.image), hard)
        invented += len(right) - min(1, sum(right))
        if not any(right):
            missed.append(hard.name)
    small = {px: len(detector(create_sheet(px))) for px in SMALL_PX}
    elsewhere = [len(detector(image)) for image in list_without_faces()]
    print(f"{name}: {len(variants) - len(missed)} of {len(variants)} variants, {invented} invented")
    if missed:
        print(f"  missed: {', '.join(missed)}")
    print("  of 100 small faces: " + ", ".join(f"{found} at {px} pixels" for px, found in small.items()))
    print(f"  in {len(elsewhere)} pictures without faces: {sum(elsewhere)}", flush=True)


def main() -> None:
    """Try the detectors that are named, then time them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*detectors.DETECTORS, []], metavar="NAME")
    names = parser.parse_args().names or list(detectors.DETECTORS)
    made = {name: detectors.create(name) for name in names}
    for name, detector in made.items():
        try_detector(name, detector)
    portrait = next(create_variants()).image
    forms = {name: functools.partial(detector, portrait) for name, detector in made.items()}
    for name, seconds in time_in_turns(forms, ROUNDS).items():
        print(f"{name}: {1e3 * statistics.median(seconds):.0f} ms, at best {1e3 * min(seconds):.0f} ms")


if __name__ == "__main__":
    main()
