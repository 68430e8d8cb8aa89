"""PyTorch: the compact network with ferjax's weights, in three forms: 'eager', 'channels_last', 'compile'."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import PyTree
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ferjax.networks import saved
from ferjax.networks.compact import STAGES
from ferjax.networks.layers.norm import EPSILON
from scripts.benchmarks.faces import Pixels
from scripts.benchmarks.peers.pictures import NETWORK_FILE, check_faces, find_beside, read_crops
from scripts.benchmarks.protocol import Commands, Step, Wait
from scripts.benchmarks.torch_worker import choose_layout, turn_kernel

Compute = Callable[[Any], Any]


def create(form: str, task: str, batch: int, data: str, threads: int) -> tuple[Step, Wait]:
    """Make a step of 'crops', from stored pixels to probabilities in numpy, as ferjax's own call."""
    torch.set_num_threads(threads)
    variables, facts = saved.read(find_beside(data, NETWORK_FILE))
    model = create_model(variables, facts, choose_layout(form))
    compute = torch.compile(model) if form == "compile" else model
    crops, temperature = read_crops(data, batch), float(facts["temperature"])

    def predict() -> Any:
        with torch.inference_mode():
            return torch.softmax(compute(_place(crops)) / temperature, 1).numpy()

    check_faces(len(predict()), task, batch)
    return predict, lambda _: None


def create_model(variables: Mapping[str, PyTree], facts: Mapping[str, Any], layout: Any) -> Compute:
    """Make the function of logits from uint8 [b, 1, 48, 48]; raises ValueError for another network than compact.

    Batch norm is folded into the convolutions, as ferjax's own call and its exported file have it.
    """
    config = facts["config"]
    asked = {"model.name": "compact", "model.hidden": [], "model.pool": "both", "input.scaling": "minmax"}
    other = [key for key, value in asked.items() if config[key] != value]
    if other:
        raise ValueError(f"this is written for the network that ferjax brings along; here {other[0]} is another")
    params, stats = variables["params"], variables["batch_stats"]
    layers: list[nn.Module] = []
    for stage, widths in enumerate(STAGES, start=1):
        if stage > 1:
            layers.append(nn.MaxPool2d(2))
        for layer in range(1, len(widths) + 1):
            kernel, norm = params[f"block{stage}_conv{layer}"]["kernel"], f"block{stage}_norm{layer}"
            layers += [_create_convolution(kernel, {**params[norm], **stats[norm]}), nn.ReLU(inplace=True)]
    output = params["head"]["output"]
    dense = nn.Linear(*output["kernel"].shape)
    with torch.no_grad():
        dense.weight.copy_(turn_kernel(output["kernel"]))
        dense.bias.copy_(torch.from_numpy(output["bias"]))
    stages = nn.Sequential(*layers).to(memory_format=layout)

    def compute(images: Any) -> Any:
        x = stages(nn.functional.pixel_unshuffle(images.float() / 255, 2))  # as compact moves 2x2 pixels into channels
        return dense(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))

    return compute


def _create_convolution(kernel: Any, norm: Mapping[str, Any]) -> nn.Module:
    """Make a convolution that has the batch norm after it folded in."""
    side, _, inputs, outputs = kernel.shape
    convolution = nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False).eval()
    normalisation = nn.BatchNorm2d(outputs, EPSILON).eval()
    with torch.no_grad():
        convolution.weight.copy_(turn_kernel(kernel))
        for part, name in (("weight", "scale"), ("bias", "bias"), ("running_mean", "mean"), ("running_var", "var")):
            getattr(normalisation, part).copy_(torch.from_numpy(norm[name]))
    return fuse_conv_bn_eval(convolution, normalisation)


def _place(crops: Pixels) -> Any:
    return torch.from_numpy(crops)[:, None]


def compute_logits(form: str, data: str, batch: int) -> dict[str, Any]:
    """Compute the logits of the crops."""
    variables, facts = saved.read(find_beside(data, NETWORK_FILE))
    model = create_model(variables, facts, choose_layout(form))
    compute = torch.compile(model) if form == "compile" else model
    with torch.inference_mode():
        return {"logits": np.asarray(compute(_place(read_crops(data, batch)))).tolist()}


COMMANDS: Commands = {"logits": compute_logits}
