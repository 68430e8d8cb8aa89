"""Who takes part beside ferjax, and where each is installed."""

from collections.abc import Iterable

from scripts.benchmarks.contenders import FERJAX, Contender

# Ready crops of one face each, and a whole picture in which the face must be found first.
CROPS, PICTURE = "crops", "picture"
# Computes the same network from the same weights, so its logits must be ferjax's.
PYTORCH = "pytorch"

OURS = Contender(FERJAX, "ferjax", "peers.network_worker", tasks=(CROPS, PICTURE))
# The family is the name on the command line. An environment but "main" is made from the file of that name beside this.
_OTHERS = (
    Contender("onnxruntime on the exported file", "onnxruntime", "peers.onnx_worker", tasks=(CROPS,)),
    Contender("PyTorch, eager", PYTORCH, "peers.torch_worker", "eager", tasks=(CROPS,)),
    Contender("PyTorch, channels_last", PYTORCH, "peers.torch_worker", "channels_last", tasks=(CROPS,)),
    Contender("PyTorch, compile + channels_last", PYTORCH, "peers.torch_worker", "compile", tasks=(CROPS,)),
    Contender("fer", "fer", "peers.fer_worker", "tflite", "fer", tasks=(CROPS, PICTURE)),
    Contender("fer, Keras", "fer", "peers.fer_worker", "keras", "fer", tasks=(CROPS, PICTURE)),
    Contender("facex", "facex", "peers.facex_worker", "", "facex", tasks=(CROPS, PICTURE)),
    Contender("PyEmotion", "pyemotion", "peers.pyemotion_worker", "", "pyemotion", tasks=(CROPS, PICTURE)),
)
NAMES = tuple(dict.fromkeys(contender.family for contender in _OTHERS))


def choose(names: Iterable[str]) -> tuple[Contender, ...]:
    """Return ferjax and those whose family is named, all where none is."""
    wanted = set(names) or set(NAMES)
    return (OURS, *(contender for contender in _OTHERS if contender.family in wanted))


def list_environments(contenders: Iterable[Contender]) -> list[str]:
    """Name the environments that these need beside the one of ferjax."""
    return list(dict.fromkeys(each.environment for each in contenders if each.environment != "main"))
