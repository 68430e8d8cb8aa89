"""Random keys as a function of a run's seed, so that none need be stored and a resumed run draws as it would have."""

import zlib

import jax
from jaxtyping import Array, Int32, Key, UInt32


def stream_key(seed: UInt32[Array, ""], stream: str, count: Int32[Array, ""]) -> Key[Array, ""]:
    """Make the key of a named stream at a step or epoch `count`: the same for the same three arguments, always."""
    key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(stream.encode()))
    return jax.random.fold_in(key, count)
