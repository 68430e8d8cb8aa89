"""The report's optimal setting with the first three blocks frozen.

The report found accuracy to fall with every frozen block.
"""

from ml_collections import ConfigDict

from configs import optimal


def get_config() -> ConfigDict:
    config = optimal.get_config()
    config.optim.groups = (("block[1-3]_.*", "frozen"), (".*", 1.0))
    return config
