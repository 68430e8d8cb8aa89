"""The report's optimal setting at a learning rate of 3e-4; evaluated on validation, as there."""

from ml_collections import ConfigDict

from configs import optimal


def get_config() -> ConfigDict:
    config = optimal.get_config()
    config.optim.learning_rate = 3e-4
    config.eval.split = "validation"
    return config
