"""The format stablehlo: the compiled program before any platform's compiler, for JAX without ferjax."""

import pathlib

import jax
import numpy as np

from ferjax.export.format import Exported, Format, Images, Probabilities, Runtime

FILE = "model.stablehlo"
PLATFORMS = ("cpu", "cuda", "tpu")


def write(exported: Exported, folder: pathlib.Path) -> None:
    """Write model.stablehlo, `jax.export`'s serialised program, for any number of images and for PLATFORMS."""
    shape = jax.export.symbolic_shape(f"n, {', '.join(map(str, exported.network.image_shape))}")
    images = jax.ShapeDtypeStruct(shape, np.uint8)
    program = jax.export.export(jax.jit(exported.predict), platforms=PLATFORMS)(images)
    (folder / FILE).write_bytes(program.serialize())


def load(folder: pathlib.Path) -> Runtime:
    """Load model.stablehlo in JAX."""
    program = jax.export.deserialize(bytearray((folder / FILE).read_bytes()))

    def run(images: Images) -> Probabilities:
        return np.asarray(program.call(images))

    return run


FORMAT = Format("jax.export.deserialize, on CPU, GPU and TPU, without ferjax", (FILE,), write, load)
