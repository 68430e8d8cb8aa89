"""A small FER-2013 in memory, and the files that users would have of it."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from ferjax.data import Rows
from ferjax.data.datasets.fer2013 import EMOTIONS, FORM, USAGES


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FERJAX_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def make_rows():
    """n random rows in a random order of class and usage; small numbers too, so that all digit counts occur."""

    def make(n: int = 150, seed: int = 0) -> Rows:
        random = np.random.default_rng(seed)
        pixels = random.integers(0, 256, (n, 48, 48), dtype=np.uint8) >> random.integers(
            0, 9, (n, 48, 48), dtype=np.uint8
        )
        usage = random.permutation(np.arange(n) % 3).astype(np.uint8)
        return FORM.create_rows(pixels[..., None], random.permutation(np.arange(n) % 7).astype(np.int32), usage)

    return make


@pytest.fixture
def rows(make_rows):
    return make_rows()


def csv_lines(rows: Rows, order: str = "epu") -> list[str]:
    """One line a row, its cells in the order given by their initials."""
    lines = []
    for i in range(len(rows)):
        pixels = " ".join(map(str, rows.images[i].ravel().tolist()))
        cells = {"e": str(rows.labels[i]), "p": pixels, "u": USAGES[rows.usage[i]]}
        lines.append(",".join(cells[letter] for letter in order))
    return lines


@pytest.fixture
def csv_text():
    """The text of Kaggle's fer2013.csv ('epu') or icml_face_data.csv ('eup')."""

    def text(rows: Rows, order: str = "epu") -> str:
        header = {"epu": "emotion,pixels,Usage", "eup": "emotion, Usage, pixels"}[order]
        return "\n".join([header, *csv_lines(rows, order), ""])

    return text


@pytest.fixture
def lines():
    return csv_lines


@pytest.fixture
def image_files():
    """Names and contents of the image-folder edition."""

    def files(rows: Rows) -> dict[str, bytes]:
        found = {}
        for i in range(len(rows)):
            buffer = io.BytesIO()
            Image.fromarray(rows.images[i, :, :, 0]).save(buffer, "png")
            folder = "train" if rows.usage[i] == 0 else "test"
            found[f"{folder}/{EMOTIONS[rows.labels[i]]}/{USAGES[rows.usage[i]]}_{i}.png"] = buffer.getvalue()
        return found

    return files


@pytest.fixture
def write_tree():
    def write(root: pathlib.Path, files: dict[str, bytes]) -> pathlib.Path:
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        return root

    return write


@pytest.fixture
def same():
    """Assert that two data sets are equal, row by row; `keep` picks the rows that the second should have."""

    def check(expected: Rows, found: Rows, keep=None) -> None:
        for name in ("images", "labels", "usage"):
            want, got = getattr(expected, name), getattr(found, name)
            np.testing.assert_array_equal(want if keep is None else want[keep], got)
            assert want.dtype == got.dtype

    return check


@pytest.fixture(scope="session")
def draw():
    """Unrelated images with their energy where photographs have it: most of it in the low frequencies."""

    def images(n: int, seed: int = 0, sharpness_px: float = 4.0) -> np.ndarray:
        noise = np.random.default_rng(seed).normal(size=(n, 48, 48))
        smooth = np.stack([gaussian_filter(image, sharpness_px) for image in noise])
        smooth /= smooth.std(axis=(1, 2), keepdims=True)
        return np.clip(128 + 40 * smooth, 0, 255).astype(np.uint8)[..., None]

    return images


@pytest.fixture(scope="session")
def blend():
    """An image with a share of another in it: the larger the share, the less alike."""

    def images(image: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
        return np.clip((1 - share) * image + share * other.astype(float), 0, 255).astype(np.uint8)

    return images
