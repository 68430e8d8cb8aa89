"""Your own classes: the network that ferjax brings along, trained further on a folder of images for each class.

ferjax train --config finetune --config.data.path=FOLDER --workdir=DIR

FOLDER holds a folder of images, of any size and each a crop of one face, for each of 2 to 20 classes; folders called
train, val and test above them are its splits. The first block stays as it is, and later ones learn the faster the
nearer they are to the new classes (discriminative learning rates, Howard & Ruder 2018, arXiv 1801.06146). A thousand
images take a few minutes.
"""

from ml_collections import ConfigDict

from configs import fast


def get_config() -> ConfigDict:
    config = fast.get_config()
    config.data.name = "folder"
    config.data.split = "auto"
    config.init.pretrained = "ferjax"
    config.optim.name = "adam"
    config.optim.learning_rate = 2e-3
    config.optim.groups = (("block1_.*", "frozen"), ("block2_.*", 0.1), ("block3_.*", 0.3), (".*", 1.0))
    config.optim.warmup_epochs = 1.0
    config.optim.average_decay = 0.99
    config.train.batch_size = 32
    config.train.epochs = 30
    return config
