"""A result in a minute or two, with nothing to download: the compact network on faces that ferjax draws itself.

bash scripts/quickstart.sh
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    config.data.path = "synthetic"
    config.model.name = "compact"
    config.optim.learning_rate = 2e-3
    config.optim.schedule = "onecycle"
    config.optim.plateau_patience_epochs = 0
    config.train.batch_size = 64
    config.train.epochs = 3
    return config
