"""The config keys that spread a run over its devices; none of them changes what is computed."""

from types import MappingProxyType

from ferjax.keys import COUNT, TEXT, Choice, Key, Keys, Range

KEYS: Keys = MappingProxyType(
    {
        "mode": Key(
            "mesh",
            Choice(("mesh", "pmap")),
            "how a batch's rows are spread over the devices: 'mesh' leaves it to XLA, 'pmap' runs the step "
            "on each device, with the sums over devices written in it",
            "free",
        ),
        "devices": Key(0, COUNT, "how many devices to use; 0 is all", "free"),
        "cpu_devices": Key(
            1,
            Range(1, 64, whole=True),
            "in how many devices the commands train and search divide the CPU, at most one a processor: each computes "
            "a part of a batch's rows, which is faster for small networks, and slower for large ones, whose optimizer "
            "every device computes",
            "free",
        ),
        "seeds": Key(
            "auto",
            Choice(("auto", "together", "in_turn")),
            "how train.seeds share the devices: 'together' trains all at once, 'in_turn' never two at once "
            "on a device, 'auto' is 'in_turn' on CPU and else 'together'; on a CPU whose devices the seeds do not "
            "fill evenly, 'auto' gives each seed all of them in its turn",
            "free",
        ),
        "steps_per_dispatch": Key(
            0,
            COUNT,
            "steps that one call of the devices makes; 0 is 1 on CPU, and elsewhere as many as fit in a second",
            "free",
        ),
        "xla_options": Key(
            "",
            TEXT,
            "options for XLA's compiler, as xla_NAME=VALUE with spaces between them, such as "
            "xla_gpu_enable_command_buffer=FUSION,CUBLAS,CUDNN,CONVOLUTION,WHILE",
            "free",
        ),
    }
)
