"""configs/strong.py with VGG19 and batch norm, which the course report's network becomes without ImageNet's weights.

python -m ferjax.main --config configs/strong_vgg.py --config.data.path=PATH
"""

from ml_collections import ConfigDict

from configs import strong


def get_config() -> ConfigDict:
    config = strong.get_config()
    config.model.name = "vgg19_bn"
    config.model.dropout = 0.5
    config.optim.learning_rate = 0.03
    return config
