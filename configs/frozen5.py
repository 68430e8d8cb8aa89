"""The report's optimal setting with all five blocks frozen. Only the head trains.

The report found accuracy to fall with every frozen block.
"""

from ml_collections import ConfigDict

from configs import optimal


def get_config() -> ConfigDict:
    config = optimal.get_config()
    config.optim.groups = (("block[1-5]_.*", "frozen"), (".*", 1.0))
    return config
