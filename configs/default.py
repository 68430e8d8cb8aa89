"""Every key of ferjax with its default; other configs import this one and say only what they change.

docs/config.md lists the keys with their legal values, units and meaning, and so does `ferjax train --help`. Each key is
declared in the room of ferjax/ that reads it.
"""

from ml_collections import ConfigDict

from ferjax.config import create_default


def get_config() -> ConfigDict:
    return create_default()
