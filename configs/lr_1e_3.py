"""The report's optimal setting at a learning rate of 1e-3; evaluated on validation, as there.

It collapsed to 'happy' for every face there (25.05 %).
"""

from ml_collections import ConfigDict

from configs import optimal


def get_config() -> ConfigDict:
    config = optimal.get_config()
    config.optim.learning_rate = 1e-3
    config.eval.split = "validation"
    return config
