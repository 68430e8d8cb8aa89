"""A batch of images with what is known of them."""

import flax.struct
from jaxtyping import Array, Bool, Float32, Int32, UInt8


class Batch(flax.struct.PyTreeNode):
    """Images as gray or colour levels 0..255, their labels, and their targets, a distribution over the classes each.

    The loss is taken against `targets`, scores against `labels`. `mask`, where there is one, is False for rows that
    only fill the batch up; those come last.
    """

    images: UInt8[Array, "*shards b side side channels"] | Float32[Array, "*shards b side side channels"]
    labels: Int32[Array, "*shards b"]
    targets: Float32[Array, "*shards b k"]
    mask: Bool[Array, "*shards b"] | None = None
