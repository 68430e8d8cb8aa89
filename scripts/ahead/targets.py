"""The devices that a CPU can compile for, with the compiler of each in a package of its own."""

import dataclasses
import pathlib
import types
from collections.abc import Mapping
from typing import Any

from jax.experimental import topologies


@dataclasses.dataclass(frozen=True)
class Target:
    """One kind of device: jax's name of its platform, and the package with its compiler."""

    platform: str
    package: str

    def find_device(self) -> Any:
        """Return a device that is not there, for which jax can compile; raises RuntimeError without the package."""
        if self.platform == "tpu":
            return topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2").devices[0]
        described = pathlib.Path(__file__).with_name("h200.txtpb").read_text(encoding="utf-8")
        return topologies.get_topology_desc(platform="cuda", target_config=described, topology="1x1x1").devices[0]


TARGETS: Mapping[str, Target] = types.MappingProxyType(
    {"h200": Target("cuda", "jax-cuda13-plugin"), "v5e": Target("tpu", "libtpu")}
)
