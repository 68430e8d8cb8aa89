"""The report's optimal setting with focal loss, gamma 5; its accuracy there: 67.0 +- 0.7 %."""

from ml_collections import ConfigDict

from configs import optimal


def get_config() -> ConfigDict:
    config = optimal.get_config()
    config.loss.name = "focal"
    config.loss.gamma = 5.0
    return config
