"""A small batch-normalised network, trained from scratch on two CPU cores in under 45 minutes.

python -m ferjax.main --config configs/compact.py --config.data.path=PATH
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    config.augment.rotation_deg = 10.0
    config.augment.shift_fraction = 0.08
    config.augment.zoom_fraction = 0.12
    config.augment.shear_deg = 5.0
    config.augment.erase_prob = 0.25
    config.model.name = "compact"
    config.model.pool = "both"
    config.model.dropout = 0.25
    config.loss.label_smoothing = 0.1
    config.optim.learning_rate = 2e-3
    config.optim.weight_decay = 0.05
    config.optim.schedule = "cosine"
    config.optim.warmup_epochs = 1.5
    config.optim.plateau_patience_epochs = 0
    config.train.batch_size = 128
    config.train.epochs = 15
    config.train.early_stop_patience_epochs = 0
    config.eval.views = "mirror"
    return config
