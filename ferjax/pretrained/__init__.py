"""ImageNet weights of VGG as Keras, torchvision and timm publish them, put into a network's variables."""

from ferjax.pretrained.merging import Merge, merge
from ferjax.pretrained.weights import Weights, check, load

__all__ = ["Merge", "Weights", "check", "load", "merge"]
