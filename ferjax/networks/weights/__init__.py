"""ImageNet weights of VGG as Keras, torchvision and timm publish them, put into a network's variables."""

from ferjax.networks.weights.loading import Weights, check, load
from ferjax.networks.weights.merging import Merge, merge

__all__ = ["Merge", "Weights", "check", "load", "merge"]
