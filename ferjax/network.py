"""The network that a run left, ready for use: it has no optimizer, holds no lock and writes to no folder."""

import concurrent.futures
import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, PyTree, UInt8

from ferjax import arithmetic, machine, networks, paths
from ferjax.config import KEYS, nest, upgrade
from ferjax.errors import UserError
from ferjax.networks import Classifier, saved
from ferjax.networks.ready import Folded, Ready, apply
from ferjax.networks.weights.own_network import EXPORTED_FILE
from ferjax.preprocess import GivenImages, ImageArray, fit_images, preprocess
from ferjax.training.places import list_places
from ferjax.views import VIEWS, average_views
from ferjax.workdir import Workdir

if TYPE_CHECKING:
    import pandas as pd

    from ferjax.inference import Source
    from ferjax.inference.detectors import Detector
    from ferjax.inference.faces import Boxes

# XLA shares a small network's layers badly among the cores: two batches of 32, each by a thread of its own, take half
# the time of one of 64. Each thread keeps the values of its batch.
_MOST_ON_CPU, _MOST_THREADS = 32, 8


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A trained network: `network(images)` gives the probability of each class for each image.

    `variables` are {'params', 'batch_stats'}; `image_shape` is (height, width, channels) of the images that it was
    trained on, `scaling` how their values 0..255 were scaled, `config` the run's config by whole names, and `about`
    says where the network comes from. Logits are divided by `temperature`, and answers less confident than
    `unsure_below` were wrong at least every second time; both are of validation, and 1 and 0 where the run did not end.
    Nothing of a network changes, and loading it changes nothing where it comes from.
    """

    module: Classifier
    variables: Mapping[str, PyTree] = dataclasses.field(repr=False)  # it would be pages of numbers
    classes: tuple[str, ...]
    scaling: str
    image_shape: tuple[int, int, int]
    config: Mapping[str, Any]
    about: Mapping[str, Any]
    temperature: float = 1.0
    unsure_below: float = 0.0

    def __call__(self, images: GivenImages, *, views: str = "none", batch_size: int = 64) -> Float32[np.ndarray, "n k"]:
        """Return the probability of each class, in the order of `classes`, for each of the images.

        `images` are [n, h, w], [n, h, w, c] or one image, [h, w] or [h, w, c], of any size, gray (c is 1) or red, green
        and blue; they are made gray or colour and scaled as the network's training images were. What is not uint8 is
        of the smallest usual range that holds all images of the call: floats up to 1 are fractions of white. `predict`
        does the same, for each picture by itself.
        `views` names what is averaged over (ferjax.views.VIEWS). They run in batches of `batch_size`, of one shape, so
        that the network compiles once; a CPU computes several at once, of 32 images at most, in threads, which do not
        follow contexts of jax around the call, such as `jax.default_matmul_precision`. Raises ValueError for images of
        another form and for unknown views.
        """
        if views not in VIEWS:
            raise ValueError(f"views={views!r} is not one of {', '.join(VIEWS)}.")
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: give a whole number from 1 up.")
        with arithmetic.fixed():
            answers = self._classify(self.fit(images), views, batch_size)
        return np.concatenate([np.zeros((0, len(self.classes)), np.float32), *answers])

    def _classify(self, images: ImageArray, views: str, batch_size: int) -> list[Float32[np.ndarray, "b k"]]:
        on_cpu = jax.default_backend() == "cpu"
        size = min(batch_size, _MOST_ON_CPU) if on_cpu else batch_size
        ready = self._folded.prepare(size)

        def classify(batch: ImageArray, rows: int) -> Float32[np.ndarray, "b k"]:
            return np.asarray(self._predict[views](ready, batch))[:rows]

        batches, compiled = list(_batches(images, size)), (views, size, images.dtype)
        answers = []
        if compiled not in self._compiled:  # by one thread, since others would compile it too
            answers = [classify(*batch) for batch in batches[:1]]
            self._compiled.add(compiled)
        batches = batches[len(answers) :]
        if not on_cpu or len(batches) < 2:
            return answers + list(itertools.starmap(classify, batches))
        with concurrent.futures.ThreadPoolExecutor(min(machine.count_processors(), _MOST_THREADS)) as threads:
            return answers + list(threads.map(classify, *zip(*batches, strict=True)))

    def predict(
        self,
        source: "Source",
        *,
        detect: bool = True,
        boxes: "Boxes | None" = None,
        detector: "str | Detector | None" = None,
        views: str = "none",
        batch_size: int | None = None,
        stride: int = 1,
    ) -> "pd.DataFrame":
        """Find the faces of pictures and return a row for each, with the columns that docs/predict.md lists.

        `source` is an array, an image of Pillow, a path, a glob, a folder, a video, a camera's number, or an iterable
        of these; nothing of it is lost: a picture without a face and one that cannot be read have a row each, which
        says so. With `detect=False` each picture is a ready crop of one face; `boxes` are faces that the caller has
        found already, [n, 4] of x, y, width and height in pixels, for every picture, by source, or for each in turn.
        `detector` is a name of ferjax.inference.detectors.DETECTORS. Of a video every `stride`-th frame counts. Raises
        UserError where no detector is installed.
        """
        from ferjax.inference import predict

        return predict(
            self,
            source,
            detect=detect,
            boxes=boxes,
            detector=detector,
            views=views,
            batch_size=batch_size,
            stride=stride,
        )

    def count_parameters(self) -> int:
        """Return how many numbers the network has learnt."""
        return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(self.variables["params"]))

    def uncalibrated(self) -> "Network":
        """Return the same network with a temperature of 1: it answers as its run did, for predictions.csv."""
        return dataclasses.replace(self, temperature=1.0)

    def without_folders(self) -> "Network":
        """Return the same network without the names of folders that only the machine that trained it has."""
        config = {**self.config, "data.path": pathlib.PurePath(str(self.config["data.path"])).name}
        if {"/", "\\"} & set(str(config["init.pretrained"])):
            config["init.pretrained"] = pathlib.PurePath(str(config["init.pretrained"])).name
        about = {key: value for key, value in self.about.items() if key not in ("path", "data")}
        return dataclasses.replace(self, config=config, about=about)

    def fit(self, images: GivenImages) -> ImageArray:
        """Return images as [n, h, w, c] of the size and channels that the network was trained on, values 0..255.

        See `ferjax.preprocess.fit_images`, which says what it takes and raises.
        """
        return fit_images(images, self.image_shape)

    def compute_logits(self, variables: PyTree | Ready, images: Float[Array, "b h w c"]) -> Float32[Array, "b k"]:
        """Return the logits of images that `fit` made, a pure function, to be compiled or differentiated."""
        dtype = self.module.dtype
        inputs = preprocess(images, scaling=self.scaling, channels=self.module.in_channels, dtype=dtype)
        if isinstance(variables, Ready):
            return apply(self.module, variables, inputs)
        logits: Float32[Array, "b k"] = self.module.apply(variables, inputs)  # type: ignore[assignment]
        return logits

    def compute_probabilities(
        self, variables: PyTree | Ready, images: UInt8[Array, "b h w c"] | Float[Array, "b h w c"], views: str = "none"
    ) -> Float32[Array, "b k"]:
        """Return what calling the network gives for images that `fit` made; a pure function, to be compiled."""
        values = images.astype(jnp.float32)
        averaged = average_views([self.compute_logits(variables, view(values)) for view in VIEWS[views]])
        return jnp.exp(averaged) if self.temperature == 1 else jax.nn.softmax(averaged / self.temperature)

    @functools.cached_property
    def _predict(self) -> dict[str, Callable[[Ready, ImageArray], Float32[Array, "b k"]]]:
        """One compiled function for each name of VIEWS."""
        return {views: jax.jit(functools.partial(self.compute_probabilities, views=views)) for views in VIEWS}

    @functools.cached_property
    def _compiled(self) -> set[tuple[str, int, Any]]:
        """The views, batch sizes and types of images that have been compiled."""
        return set()

    @functools.cached_property
    def _folded(self) -> Folded:
        height, width, _ = self.image_shape
        return Folded(self.module, self.variables, (height, width, self.module.in_channels))

    def save(self, path: str | pathlib.Path, *, half: bool = False) -> None:
        """Write the network as one safetensors file, which `load` reads; it holds what is needed to use it.

        With `half` kernels are rounded to float16, and the file is half as large. Its folder is made; the file is
        written whole or not at all. Raises UserError where no file can be of that name, and OSError for a full disk.
        """
        facts = {
            "classes": self.classes,
            "image_shape": self.image_shape,
            "config": dict(self.config),
            "about": dict(self.about),
            "temperature": self.temperature,
            "unsure_below": self.unsure_below,
        }
        path = paths.parse(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            saved.write(path, self.variables, facts, half=half)
        except (IsADirectoryError, NotADirectoryError, FileExistsError, PermissionError) as error:
            raise UserError(f"{path} cannot be written ({error.strerror or error}): name another file.") from error


def load(path: str | pathlib.Path | None = None) -> Network:
    """Load what a run left: from its folder, the best epoch of its newest checkpoint, or from a file by `Network.save`.

    A folder that `ferjax export` wrote is taken for the file in it, and without a path it is the network that ferjax
    brings along (ferjax/shipped/). Nothing in the folder is changed or locked, so that the run may go on meanwhile.
    Raises UserError where there is no trained network.
    """
    path = saved.SHIPPED if path is None else paths.parse(path)
    if path.is_file():
        return _load_file(path)
    if (path / EXPORTED_FILE).is_file():
        return _load_file(path / EXPORTED_FILE)
    workdir = Workdir(path)
    config, data = workdir.read_config(), workdir.read_data()
    if config is None or data is None or not list_places(workdir.checkpoints):
        raise UserError(f"{path} holds no trained network: name a run's folder, or a file that Network.save wrote.")
    from ferjax.training.checkpoint import read_network  # it imports orbax, which a saved file does not need

    variables, about = read_network(workdir.checkpoints)
    about = {"path": str(path), **about, "data": data["path"]}
    calibration = workdir.read_calibration()
    try:
        return _create(config, tuple(data["classes"]), data["image_shape"], variables, about, calibration)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as a network ({error}): its {workdir.config.name} and {workdir.data.name} do not "
            "go together, so name another run's folder."
        ) from error


def _load_file(path: pathlib.Path) -> Network:
    variables, facts = saved.read(path)
    try:
        config = upgrade(nest(facts["config"]))
        return _create(config, tuple(facts["classes"]), facts["image_shape"], variables, facts["about"], facts)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as a network ({error}): name a file that Network.save wrote."
        ) from error


def _create(
    config: Mapping[str, Any],
    classes: tuple[str, ...],
    image_shape: list[int],
    variables: Mapping[str, PyTree],
    about: Mapping[str, Any],
    calibration: Mapping[str, Any],
) -> Network:
    model = {key.removeprefix("model."): config[key] for key in KEYS if key.startswith("model.")}
    height, width, channels = image_shape
    return Network(
        module=networks.create(num_classes=len(classes), **model),
        variables=jax.device_put(dict(variables)),
        classes=classes,
        scaling=config["input.scaling"],
        image_shape=(height, width, channels),
        config=config,
        about=about,
        temperature=float(calibration.get("temperature", 1.0)),
        unsure_below=float(calibration.get("unsure_below", 0.0)),
    )


def _batches(images: ImageArray, size: int) -> Iterator[tuple[ImageArray, int]]:
    """Yield batches of one shape, each with the number of its rows that count; the last one repeats its last row."""
    for first in range(0, len(images), size):
        batch = images[first : first + size]
        rows = len(batch)
        yield np.concatenate([batch, np.repeat(batch[-1:], size - rows, axis=0)]) if rows < size else batch, rows
