"""The config: every key with its range, old spellings, the config files, and the comparison of two configs.

A key is declared once, in the room that reads it; `ferjax.config.groups` joins them.
"""

from ferjax.config.checking import KeyMistake, check, check_keys, check_overrides, validate
from ferjax.config.comparing import find_differences, flatten, nest, upgrade
from ferjax.config.files import find_config_file, list_configs, load_config, read_config
from ferjax.config.groups import GROUPS, KEYS, create_default
from ferjax.config.moved import resolve
from ferjax.config.parsing import find_kind, override, parse_value

__all__ = [
    "GROUPS",
    "KEYS",
    "KeyMistake",
    "check",
    "check_keys",
    "check_overrides",
    "create_default",
    "find_config_file",
    "find_differences",
    "find_kind",
    "flatten",
    "list_configs",
    "load_config",
    "nest",
    "override",
    "parse_value",
    "read_config",
    "resolve",
    "upgrade",
    "validate",
]
