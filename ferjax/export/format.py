"""What a format of the table is, and the check that every written file passes before it has its name."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, UInt8

from ferjax.data.datasets.synthetic import draw
from ferjax.errors import UserError
from ferjax.network import Network

# By how much a probability may differ from the network's.
TOLERANCE = 1e-4
_FACES, _NOISE = 48, 16

Images: TypeAlias = UInt8[np.ndarray, "n h w c"]
Probabilities: TypeAlias = Float32[np.ndarray, "n k"]
Runtime: TypeAlias = Callable[[Images], Probabilities]


@dataclasses.dataclass(frozen=True)
class Exported:
    """A network, as the formats take it: in float32 and without the folders of the machine that trained it.

    `views` names what it averages over (ferjax.views.VIEWS), `storage` how the ONNX file keeps its numbers, and `card`
    is the model card, None where no format needs one.
    """

    network: Network
    views: str = "none"
    storage: str = "24bit"
    card: str | None = None

    def predict(self, images: UInt8[Array, "b h w c"]) -> Float32[Array, "b k"]:
        """Return the probabilities of stored images; a pure function that holds the network's numbers."""
        return self.network.compute_probabilities(self.network.variables, images, self.views)


@dataclasses.dataclass(frozen=True)
class Format:
    """A format: `write(exported, folder)` writes its files and returns their paths, `load(folder)` reads them.

    What `load` returns computes probabilities by the format's own runtime, [n, h, w, c] uint8 -> [n, k].
    """

    text: str
    files: tuple[str, ...]
    write: Callable[[Exported, pathlib.Path], None]
    load: Callable[[pathlib.Path], Runtime]
    needs_card: bool = False


def prepare(network: Network) -> Network:
    """Return the network in float32, and without the names of folders that only this machine has."""
    loaded, single = network.without_folders(), jnp.dtype("float32")
    if loaded.module.dtype == single:
        return loaded
    # A file that ferjax loads again computes by its config.
    return dataclasses.replace(
        loaded, module=loaded.module.clone(dtype=single), config={**loaded.config, "model.dtype": single.name}
    )


@dataclasses.dataclass(frozen=True)
class Sample:
    """Images, and the probabilities that the network gives for them, which every format must give too."""

    images: Images
    expected: Probabilities


def create_sample(exported: Exported) -> Sample:
    """Ask the network about drawn faces, and about noise, which no format may take in another way either."""
    network = exported.network
    height, width, channels = network.image_shape
    noise = np.random.default_rng(0).integers(0, 256, (_NOISE, height, width, channels), dtype=np.uint8)
    images = np.concatenate([network.fit(draw(_FACES).images), noise])
    return Sample(images, network(images, views=exported.views))


def check(sample: Sample, runtime: Runtime, path: pathlib.Path) -> float:
    """Return by how much a runtime's probabilities differ at most from the network's, for many images and for one.

    Raises UserError where that is more than TOLERANCE.
    """
    difference = max(
        float(np.abs(runtime(sample.images[:count]) - sample.expected[:count]).max())
        for count in (len(sample.images), 1)
    )
    if not difference <= TOLERANCE:
        raise UserError(
            f"{path.name} would give probabilities that differ by {difference:.1e} from the network's, which is more "
            f"than {TOLERANCE:g}: choose another --storage, or train with model.exact_convolution."
        )
    return difference
