"""Who takes part in the benchmark."""

import dataclasses
import types
from collections.abc import Mapping

FERJAX, BARE = "ferjax", "ferjax, bare step"
ONNX_FILE = "vgg19.onnx"

_TASKS = ("train", "pipeline", "inference", "launch", "memory")


@dataclasses.dataclass(frozen=True)
class Contender:
    """One form of one library.

    `family` is what ratios are taken within; `module` is the worker's, `form` its argument. `environment` names the
    interpreter that has the library.
    """

    name: str
    family: str
    module: str
    form: str = ""
    environment: str = "main"
    keras_backend: str = ""
    tasks: tuple[str, ...] = _TASKS


CONTENDERS = (
    Contender(FERJAX, "ferjax", "ferjax_worker"),
    Contender("PyTorch, eager", "PyTorch", "torch_worker", "eager", tasks=(*_TASKS, "same_work")),
    Contender("PyTorch, channels_last", "PyTorch", "torch_worker", "channels_last", tasks=(*_TASKS, "same_work")),
    Contender("PyTorch, compile + channels_last", "PyTorch", "torch_worker", "compile"),
    Contender("Keras on TensorFlow", "Keras", "keras_worker", "", "tensorflow", "tensorflow"),
    Contender(
        "Keras on TensorFlow, no XLA", "Keras", "keras_worker", "plain", "tensorflow", "tensorflow", tasks=("train",)
    ),
    Contender("Keras on JAX", "Keras", "keras_worker", "", "main", "jax"),
    Contender("onnxruntime", "onnxruntime", "onnx_worker", ONNX_FILE, tasks=("inference",)),
)
FAMILIES: Mapping[str, str] = types.MappingProxyType(
    {contender.name: contender.family for contender in CONTENDERS} | {BARE: "bare"}
)


def find_contender(name: str) -> Contender:
    """Return the contender of that name."""
    return next(contender for contender in CONTENDERS if contender.name == name)


def take_part(task: str, names: set[str]) -> list[Contender]:
    """Return those of `names` that have the task, in the order of the table."""
    return [contender for contender in CONTENDERS if contender.name in names and task in contender.tasks]
