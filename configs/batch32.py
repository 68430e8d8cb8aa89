"""The report's optimal setting, evaluated on validation: what the other batch sizes and rates compare to."""

from ml_collections import ConfigDict

from configs import optimal


def get_config() -> ConfigDict:
    config = optimal.get_config()
    config.eval.split = "validation"
    return config
