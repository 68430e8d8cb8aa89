"""What a GPU or TPU trains for the best single network from random weights: ResNet18 on random crops, 300 epochs.

python -m ferjax.main --config configs/strong.py --config.data.path=PATH

It begins from what Khaireddin & Chen 2021 (arXiv 2105.03588) and public code of the same kind do: stochastic gradient
descent with Nesterov's momentum, a long run, random crops in training and ten of them at the end. torch's SGD adds
weight decay to the gradient, before momentum; its 5e-4 is 5e-4 / (1 - 0.9) here, where decay is decoupled.
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    config.augment.crop_fraction = 11 / 12
    config.augment.rotation_deg = 10.0
    config.augment.shift_fraction = 0.08
    config.augment.zoom_fraction = 0.15
    config.augment.erase_prob = 0.5
    config.augment.mixup_alpha = 0.2
    config.model.name = "resnet18"
    config.model.pool = "mean"
    config.model.dropout = 0.4
    config.model.dtype = "bfloat16"
    config.loss.label_smoothing = 0.1
    config.optim.name = "sgd"
    config.optim.learning_rate = 0.1
    config.optim.momentum = 0.9
    config.optim.weight_decay = 5e-3
    config.optim.clip_norm = 5.0
    config.optim.schedule = "cosine"
    config.optim.warmup_epochs = 5.0
    config.optim.plateau_patience_epochs = 0
    config.optim.average_decay = 0.999
    config.train.batch_size = 128
    config.train.epochs = 300
    config.train.early_stop_patience_epochs = 0
    config.eval.epoch = "last"
    config.eval.views = "mirror_crops"
    return config
