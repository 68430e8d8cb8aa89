"""The most accuracy for half an hour on two CPU cores, from random weights: a small network, Muon, averaged weights.

python -m ferjax.main --config configs/fast.py --config.data.path=PATH

docs/ablations.md has what was tried. The number that counts is that of the last epoch's averaged weights.
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    config.augment.rotation_deg = 10.0
    config.augment.shift_fraction = 0.1
    config.augment.zoom_fraction = 0.15
    config.augment.shear_deg = 5.0
    config.augment.erase_prob = 0.3
    config.model.name = "compact"
    config.model.pool = "both"
    config.model.dtype = "auto"
    config.model.dropout = 0.3
    config.loss.label_smoothing = 0.1
    config.optim.name = "muon"
    config.optim.muon_momentum = 0.9
    config.optim.learning_rate = 8e-3
    config.optim.weight_decay = 0.05
    config.optim.schedule = "cosine"
    config.optim.warmup_epochs = 2.0
    config.optim.plateau_patience_epochs = 0
    config.optim.average_decay = 0.998
    config.parallel.cpu_devices = 2
    config.train.batch_size = 256
    config.train.epochs = 28
    config.train.early_stop_patience_epochs = 0
    config.eval.epoch = "last"
    config.eval.views = "mirror_shifts_zooms"
    return config
