"""The report's optimal setting with focal loss, gamma 2; its accuracy there: 68.7 +- 1.0 %."""

from ml_collections import ConfigDict

from configs import optimal


def get_config() -> ConfigDict:
    config = optimal.get_config()
    config.loss.name = "focal"
    config.loss.gamma = 2.0
    return config
