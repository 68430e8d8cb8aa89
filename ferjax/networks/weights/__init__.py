"""Published weights for any network whose file says what they look like: found, read, and put into its variables."""

import types

from ferjax.keys import TEXT, Key, Keys
from ferjax.networks.weights.loading import check, list_sources, load
from ferjax.networks.weights.merging import Merge, merge
from ferjax.networks.weights.variables import Weights, join_words

# Of group 'init'.
KEYS: Keys = types.MappingProxyType(
    {
        "pretrained": Key(
            "none",
            TEXT,
            "what training begins with: 'none' is random parameters; "
            f"{join_words(map(repr, list_sources()))} are published ImageNet weights, which are downloaded; 'ferjax' "
            "is the network for FER-2013 that ferjax brings along, without its last layers; or give the path of a "
            "published file, of a converted folder, of a run's folder, or of a file that Network.save wrote",
        )
    }
)

__all__ = ["KEYS", "Merge", "Weights", "check", "list_sources", "load", "merge"]
