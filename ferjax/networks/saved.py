"""A trained network as one safetensors file: its variables, and beside them, as JSON, what is needed to use it."""

import json
import pathlib
import zlib
from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import numpy as np
from jaxtyping import PyTree
from safetensors import safe_open
from safetensors.numpy import save

from ferjax.errors import UserError
from ferjax.files import replacing

FORMAT = "ferjax network 1"
# A network for FER-2013's seven emotions, and beside it what is known of it, as JSON.
SHIPPED = pathlib.Path(__file__).parent.parent / "shipped" / "fer2013.safetensors"


def write(path: pathlib.Path, variables: Mapping[str, PyTree], facts: Mapping[str, Any], *, half: bool) -> None:
    """Write {'params', 'batch_stats'} and what `facts` say, whole or not at all; `half` rounds kernels to float16."""
    leaves = {
        name: np.asarray(leaf) for name, leaf in flax.traverse_util.flatten_dict(dict(variables), sep="/").items()
    }
    if half:
        leaves = {name: leaf.astype(np.float16) if leaf.ndim > 1 else leaf for name, leaf in leaves.items()}
    crc32 = {name: zlib.crc32(leaf.tobytes()) for name, leaf in leaves.items()}
    with replacing(path) as beside:
        beside.write_bytes(save(leaves, {"format": FORMAT, "facts": json.dumps({**facts, "crc32": crc32})}))


def read(path: pathlib.Path) -> tuple[dict[str, PyTree], dict[str, Any]]:
    """Read the variables, float32 whatever the file rounds them to, and the facts; raises UserError."""
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            leaves = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        if metadata.get("format") != FORMAT:
            raise ValueError("it is not marked as a network of ferjax")
        facts = json.loads(metadata["facts"])
        if not isinstance(facts, dict):
            raise ValueError("what it says of itself is no object")
        # Files of older versions have no checksums.
        broken = [name for name, crc32 in facts.get("crc32", {}).items() if zlib.crc32(leaves[name].tobytes()) != crc32]
        if broken:
            raise ValueError(f"{broken[0]} has other values than were saved")
    except Exception as error:  # safetensors raises its own kinds for each way in which a file can be broken
        raise UserError(
            f"{path} cannot be read as a network ({error}): name a file that Network.save wrote."
        ) from error
    whole = {name: leaf.astype(np.float32) for name, leaf in leaves.items()}
    return {"params": {}, "batch_stats": {}, **flax.traverse_util.unflatten_dict(whole, sep="/")}, facts


def is_saved(path: pathlib.Path) -> bool:
    """Return whether a file is one of these."""
    try:
        with safe_open(path, "numpy") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except Exception:
        return False
