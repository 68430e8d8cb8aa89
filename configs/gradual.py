"""The report's optimal setting, unfrozen block by block from the head down, an epoch each.

Gradual unfreezing is Howard & Ruder's (2018, arXiv 1801.06146).
"""

from ml_collections import ConfigDict

from configs import optimal


def get_config() -> ConfigDict:
    config = optimal.get_config()
    config.optim.groups = (
        ("block5_.*", 1.0, 1),
        ("block4_.*", 1.0, 2),
        ("block3_.*", 1.0, 3),
        ("block2_.*", 1.0, 4),
        ("block1_.*", 1.0, 5),
        (".*", 1.0),
    )
    return config
