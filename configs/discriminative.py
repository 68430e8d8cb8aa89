"""The report's optimal setting with a learning rate for each block: the earlier, the lower (its future work).

The factor from block to block, 2.6, is Howard & Ruder's (2018, arXiv 1801.06146).
"""

from ml_collections import ConfigDict

from configs import optimal


def get_config() -> ConfigDict:
    config = optimal.get_config()
    config.optim.groups = (
        ("block1_.*", 2.6**-5),
        ("block2_.*", 2.6**-4),
        ("block3_.*", 2.6**-3),
        ("block4_.*", 2.6**-2),
        ("block5_.*", 2.6**-1),
        (".*", 1.0),
    )
    return config
