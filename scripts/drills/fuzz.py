"""Mutated files: each is used, or refused in one sentence; nothing crashes, hangs or eats memory."""

import contextlib
import gzip
import io
import logging
import os
import pathlib
import pickle
import random
import resource
import signal
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image

import ferjax
from ferjax.data.datasets.fer2013 import EMOTIONS, USAGES
from ferjax.errors import UserError
from ferjax.networks.weights.formats import open_tensors
from scripts.drills.drill import Failed, expect

_LONGEST_S, _LONGEST_WAIT_S = 20, 900
_MOST_MORE_MB = 400  # of memory, over the largest of the files that are well


def run(folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    """Mutate `cases` files of each kind."""
    os.environ["FERJAX_CACHE"] = str(folder / "cache")
    logging.getLogger("ferjax").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="PIL")  # as every command has it
    tempfile.tempdir = str(folder)
    seed = chance.randrange(1_000_000)
    for kind, (content, use) in _create_kinds(folder).items():
        path = folder / f"file_{kind.replace('/', '.')}"
        finish = _FINISH.get(kind, bytes)
        path.write_bytes(finish(content))
        use(path)
        before_mb = _peak_mb()
        ended = {"used": 0, "refused": 0}
        for case in range(cases):
            path.write_bytes(finish(mutate(content, random.Random(f"{seed} {kind} {case}"))))
            what = f"{kind}, seed {seed}, case {case}"
            ended[_try(lambda path=path, use=use: use(path), what, path)] += 1  # type: ignore[misc]
            if case % 50 == 0:
                for kept in (folder / "cache").rglob("*.rows"):
                    kept.unlink()
        more_mb = _peak_mb() - before_mb
        expect(more_mb < _MOST_MORE_MB, f"{kind}: {more_mb:.0f} MB more than the whole file needs")
        whole_kb = len(content) // 1000
        yield f"{kind}, seed {seed}: {ended}, {max(more_mb, 0):.0f} MB more than for the whole file of {whole_kb} kB"


def mend_png(data: bytes) -> bytes:
    """Return a PNG with right checksums, so that a decoder reads what is behind them."""
    mended, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        mended += data[at:end] + zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(mended) + data[at:]


def _pack(content: bytes) -> bytes:
    """Return a zip with a file under the names that images of a data set have."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in _MEMBERS:
            archive.writestr(name, content)
    return packed.getvalue()


_MEMBERS = ("train/sad/Training_1.png", "test/fear/PublicTest_2.png")
# What is done with the mutated bytes of some kinds: a checksum over them would hide most changes from what reads them.
_FINISH: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType(
    {"png with right checksums": mend_png, "tar within gz": gzip.compress, "png within zip": _pack}
)


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Return the bytes with one to four random changes."""
    data = bytearray(content)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        at = chance.randrange(len(data) + 1)
        size = chance.choice([1, 1, 2, 4, 8, 64, 1000])
        kind = chance.randrange(7)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at : at + size] = chance.randbytes(size)
        elif kind == 2:
            del data[at : at + size]
        elif kind == 3:
            data[at:at] = chance.randbytes(size)
        elif kind == 4:
            del data[at:]
        elif kind == 5:
            data[at:at] = data[at // 2 : at // 2 + size]
        else:
            data[at : at + 8] = chance.choice([b"\xff" * 8, bytes(8), b"\xff" * 4 + bytes(3) + b"\x7f", b"99999999"])
    return bytes(data)


def _try(use: Callable[[], object], what: str, path: pathlib.Path) -> str:
    """Return 'used' or 'refused'; raise Failed for any other end, and for none within some seconds."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"no end within {_LONGEST_S} s of processor time, or {_LONGEST_WAIT_S} s")

    before = {number: signal.signal(number, ring) for number in (signal.SIGALRM, signal.SIGPROF)}
    signal.alarm(_LONGEST_WAIT_S)
    signal.setitimer(signal.ITIMER_PROF, _LONGEST_S)  # of processor time: the machine may be busy
    try:
        use()
        return "used"
    except UserError as error:
        expect("\n" not in str(error).strip(), f"{what}: more than a sentence: {error}")
        return "refused"
    except BaseException as error:
        copy = pathlib.Path(tempfile.gettempdir()).parent / f"ferjax_fuzz_{path.name}"
        copy.write_bytes(path.read_bytes())
        raise Failed(f"{what}: {type(error).__name__}: {error}, see {copy}") from error
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _create_kinds(folder: pathlib.Path) -> Mapping[str, tuple[bytes, Callable[[pathlib.Path], object]]]:
    """Return a whole file of every kind, and what reads it."""
    random_pixels = np.random.default_rng(0).integers(0, 256, (12, 48, 48)).astype(np.uint8)
    lines = ["emotion,pixels,Usage"]
    for i, image in enumerate(random_pixels):
        lines.append(f"{i % 7},{' '.join(map(str, image.ravel().tolist()))},{USAGES[i % 3]}")
    csv = "\n".join(lines).encode()
    images = {}
    for kind in ("png", "jpeg", "gif", "bmp", "webp", "tiff"):
        buffer = io.BytesIO()
        Image.fromarray(random_pixels[0]).save(buffer, kind)
        images[kind] = buffer.getvalue()

    def read(path: pathlib.Path) -> object:
        return ferjax.read(path, "skip")

    def read_image(path: pathlib.Path) -> object:
        place = folder / "faces" / "train" / EMOTIONS[0] / "1.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
        return ferjax.read(folder / "faces", "skip")

    kinds: dict[str, tuple[bytes, Callable[[pathlib.Path], object]]] = {"csv": (csv, read)}
    kinds |= {kind: (content, read_image) for kind, content in images.items()}
    kinds["png with right checksums"] = kinds["png"]
    kinds["zip"], kinds["png within zip"] = (_pack(images["png"]), read), (images["png"], read)
    for kind, mode in {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz", "tar.bz2": "w:bz2"}.items():
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode=mode) as tar:  # type: ignore[call-overload]
            for name in _MEMBERS:
                about = tarfile.TarInfo(name)
                about.size = len(images["png"])
                tar.addfile(about, io.BytesIO(images["png"]))
        kinds[kind] = (packed.getvalue(), read)
    kinds["tar within gz"] = kinds["tar"]
    return {**kinds, **create_weights(folder)}


def create_weights(
    folder: pathlib.Path, filters: int = 8
) -> Mapping[str, tuple[bytes, Callable[[pathlib.Path], object]]]:
    """Return a whole weight file of every kind, with arrays of (filters, 3, 3), and what reads it."""
    import h5py
    from safetensors.numpy import save

    tensors = {
        f"block{i}.weight": np.random.default_rng(i).normal(size=(filters, 3, 3)).astype(np.float32) for i in range(3)
    }

    def read(path: pathlib.Path) -> object:
        with open_tensors(path) as (_, found):
            return [tensor.read() for tensor in found.values()]

    path = folder / "weights.h5"
    with h5py.File(path, "w") as file:
        for name, values in tensors.items():
            group = file.create_group(name.partition(".")[0])
            group.attrs["weight_names"] = [name.encode()]
            group.create_dataset(name, data=values)
        file.attrs["layer_names"] = [name.partition(".")[0].encode() for name in tensors]
    kinds = {"h5": (path.read_bytes(), read), "safetensors": (save(tensors), read)}
    try:
        import torch
    except ImportError:
        return kinds
    for kind, new in {"pth": True, "old pth": False}.items():
        buffer = io.BytesIO()
        state = {name: torch.from_numpy(values) for name, values in tensors.items()}
        torch.save(state, buffer, _use_new_zipfile_serialization=new)
        kinds[kind] = (buffer.getvalue(), read)
    # A pickle that would run code: it must be refused, never obeyed.
    trap, sprung = folder / "trap.pth", folder / "sprung"
    trap.write_bytes(pickle.dumps(_Trap(str(sprung))))
    with contextlib.suppress(UserError):
        read(trap)
    expect(not sprung.exists(), "a weight file ran code")
    return kinds


class _Trap:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (self.path, "w")
