"""PyTorch: VGG19 in three forms, 'eager', 'channels_last' and 'compile' (channels_last too)."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from scripts.benchmarks import faces
from scripts.benchmarks.faces import Images, Labels
from scripts.benchmarks.protocol import Commands, Step, Wait

_WIDTHS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
_DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
_LOADER_PROCESSES = 2


def create(form: str, task: str, batch: int, data: str, threads: int) -> tuple[Step, Wait]:
    """Make a step of 'train', on a batch in memory, of 'pipeline', from a DataLoader, or of 'inference'."""
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high")  # TF32 where the device has it, as jax does
    torch.manual_seed(0)
    layout = choose_layout(form)
    model = create_model().to(_DEVICE, memory_format=layout)
    if task == "inference":
        return _create_inference(model, form, layout, faces.load_batch(data, batch)[0])
    take_step = _create_step(model, form)
    if task == "train":
        images, labels = _place(*faces.load_batch(data, batch), layout)
        return lambda: take_step(images, labels), _wait
    batches = _repeat(_create_loader(data, batch))

    def take_loaded_step() -> Any:
        images, labels = next(batches)
        return take_step(images.to(_DEVICE).contiguous(memory_format=layout), labels.to(_DEVICE))

    return take_loaded_step, _wait


def create_model() -> nn.Module:
    """Make VGG19 with a global max pool and one dense layer, as ferjax's is."""
    layers: list[nn.Module] = []
    channels = 3
    for width, depth in _WIDTHS:
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    layers += [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(channels, faces.CLASSES)]
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def _create_step(model: nn.Module, form: str, learning_rate: float = 1e-4) -> Callable[[Any, Any], Any]:
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, eps=1e-7, fused=True)
    compute = torch.compile(model) if form == "compile" else model
    model.train()

    def take_step(images: Any, labels: Any) -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(compute(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    return take_step


def choose_layout(form: str) -> Any:
    """Return how the numbers of images and kernels lie in memory in one of the forms."""
    return torch.contiguous_format if form == "eager" else torch.channels_last


def _create_inference(model: nn.Module, form: str, layout: Any, batch: Images) -> tuple[Step, Wait]:
    model.eval()
    images, _ = _place(batch, np.zeros(1, np.int32), layout)
    compute = torch.compile(model) if form == "compile" else model

    def predict() -> Any:
        with torch.inference_mode():
            return compute(images)

    return predict, _wait


def _place(images: Images, labels: Labels, layout: Any) -> tuple[Any, Any]:
    nchw = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    return nchw.to(_DEVICE), torch.from_numpy(labels.astype(np.int64)).to(_DEVICE)


def _wait(result: Any) -> None:
    if _DEVICE == "cuda":
        torch.cuda.synchronize()


class Faces:
    """Give images one at a time through RandomHorizontalFlip, RandomAffine and ToTensor.

    Written out with PIL as torchvision has them, since torchvision may not be installable beside a CPU-only torch.
    """

    def __init__(self, data: str) -> None:
        self._pixels, self._labels = faces.load(data)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, row: int) -> tuple[Any, int]:
        image = Image.fromarray(self._pixels[row])
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image = image.transform(image.size, Image.Transform.AFFINE, _draw_affine(), Image.Resampling.BILINEAR)
        gray = torch.from_numpy(np.array(image)).float().div_(255)
        return gray.expand(3, -1, -1), int(self._labels[row])


def _draw_affine() -> tuple[float, ...]:
    """Draw RandomAffine(degrees=15, translate=(.15, .15), scale=(.85, 1.15)) as PIL has it: output to input pixels."""
    angle, scale = np.deg2rad(random.uniform(-15, 15)), random.uniform(0.85, 1.15)
    shift = [round(random.uniform(-0.15, 0.15) * faces.SIDE_PX) for _ in range(2)]
    cosine, sine, centre = np.cos(angle) / scale, np.sin(angle) / scale, faces.SIDE_PX / 2
    x, y = -centre - shift[0], -centre - shift[1]
    return cosine, sine, cosine * x + sine * y + centre, -sine, cosine, cosine * y - sine * x + centre


def _create_loader(data: str, batch: int) -> Any:
    return torch.utils.data.DataLoader(
        Faces(data), batch, shuffle=True, num_workers=_LOADER_PROCESSES, drop_last=True, persistent_workers=True
    )


def _repeat(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


def same_work(form: str, path: str, threads: int, learning_rate: float) -> dict[str, Any]:
    """Take the losses from the parameters and batches that ferjax wrote to `path`."""
    torch.set_num_threads(threads)
    layout = choose_layout(form)
    model = create_model().to(memory_format=layout)
    with np.load(path) as file:
        arrays = dict(file)
    names = [
        f"block{block}_conv{layer}" for block, (_, depth) in enumerate(_WIDTHS, 1) for layer in range(1, depth + 1)
    ]
    layers = [layer for layer in model if isinstance(layer, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        for name, layer in zip([*names, "head/output"], layers, strict=True):
            kernel, bias = (arrays[f"params/{name}/{part}"] for part in ("kernel", "bias"))
            layer.weight.copy_(turn_kernel(kernel))
            layer.bias.copy_(torch.from_numpy(bias))
    model.to(_DEVICE)
    take_step = _create_step(model, form, learning_rate)
    values = []
    for pixels, labels in zip(arrays["pixels"], arrays["labels"], strict=True):
        images = np.repeat(pixels[..., None].astype(np.float32) / 255, 3, axis=-1)
        values.append(float(take_step(*_place(images, labels, layout)).detach()))
    return {"losses": values}


def turn_kernel(kernel: Images) -> Any:
    """Return the kernel of a convolution or a dense layer of flax as torch orders it: outputs first."""
    axes = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
    return torch.from_numpy(kernel.transpose(axes).copy())


def export(path: str) -> dict[str, Any]:
    """Write the same network as an ONNX file, which takes any number of images at once."""
    example = torch.zeros(2, 3, faces.SIDE_PX, faces.SIDE_PX)
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    torch.onnx.export(create_model().eval(), (example,), path, dynamo=True, dynamic_shapes=shapes, verbose=False)
    return {}


COMMANDS: Commands = {"same_work": same_work, "export": export}
