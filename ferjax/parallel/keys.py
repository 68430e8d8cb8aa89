"""The keys of how a run lies on its devices; none of them changes what is computed."""

from types import MappingProxyType

from ferjax.keys import COUNT, Choice, Key, Keys

KEYS: Keys = MappingProxyType(
    {
        "mode": Key(
            "mesh",
            Choice(("mesh", "pmap")),
            "who spreads a batch's rows over the devices: 'mesh' XLA, 'pmap' the step's own collectives",
            "free",
        ),
        "devices": Key(0, COUNT, "how many to use; 0 is all", "free"),
        "seeds": Key(
            "auto",
            Choice(("auto", "together", "in_turn")),
            "of train.seeds: 'together' trains all at once, 'in_turn' never two on a device, 'auto' in turn on CPU",
            "free",
        ),
        "steps_per_dispatch": Key(
            0, COUNT, "steps in one call of the device; 0: 1 on CPU, elsewhere as many as a second holds", "free"
        ),
    }
)
