"""Search over config keys on the validation split: `python -m ferjax.search --help`."""
