"""Images a second of the program that a run dispatches: it gathers and augments images that lie on the device."""

import dataclasses
import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import arithmetic
from ferjax.config import load_config
from ferjax.data.resident import Resident
from ferjax.parallel import choose_options, create_layout, initialize, make_dispatch
from ferjax.training import flops
from ferjax.training.build import Parts, Task, build
from scripts.accelerator.recorder import Recorder

_ROWS = 28709  # FER-2013's
_COMMAND_BUFFERS = "xla_gpu_enable_command_buffer=FUSION,CUBLAS,CUDNN,CONVOLUTION,WHILE"


@dataclasses.dataclass(frozen=True)
class Case:
    """One program; `dispatch` are its steps, 0 for a hundred or an epoch's, `known_length` those of a loop that is not
    told when to stop.
    """

    network: str
    batch: int
    dtype: str = "float32"
    precision: str = "default"
    dispatch: int = 0
    known_length: bool = False
    augmented: bool = True
    seeds: int = 1
    options: str = ""
    deterministic: bool = False


# The most wanted first.
CASES = (
    Case("vgg19", 32),
    Case("vgg19", 32, dispatch=1),
    Case("vgg19", 32, known_length=True),
    Case("vgg19", 128, "bfloat16"),
    Case("vgg19", 1024, "bfloat16"),
    Case("vgg19", 128),
    Case("vgg19", 1024),
    Case("compact", 128),
    Case("compact", 128, dispatch=1),
    Case("compact", 128, "bfloat16"),
    Case("compact", 1024, "bfloat16"),
    Case("vgg19", 4096, "bfloat16"),
    Case("vgg19", 32, precision="highest"),
    Case("vgg19", 1024, precision="highest"),
    Case("vgg19", 32, "bfloat16"),
    Case("vgg19", 128, "bfloat16", augmented=False),
    Case("compact", 128, augmented=False),
    Case("compact", 32),
    Case("compact", 4096, "bfloat16"),
    Case("vgg19", 4096),
    Case("vgg19", 4096, "bfloat16", augmented=False),
)
SEEDS = tuple(Case(name, batch, seeds=seeds) for name, batch in (("vgg19", 32), ("compact", 128)) for seeds in (1, 5))
OPTIONS = (
    Case("vgg19", 32, options=_COMMAND_BUFFERS),
    Case("vgg19", 32, deterministic=True),
    Case("vgg19", 128, "bfloat16", options=_COMMAND_BUFFERS),
    Case("vgg19", 32, options="xla_gpu_enable_latency_hiding_scheduler=true"),
)


def run(recorder: Recorder) -> None:
    """Measure the networks at their batches, in each arithmetic."""
    _measure_all(recorder, CASES[:2] if recorder.short else CASES)


def run_seeds(recorder: Recorder) -> None:
    """Measure seeds side by side beside one."""
    _measure_all(recorder, SEEDS[2:] if recorder.short else SEEDS)


def run_options(recorder: Recorder) -> None:
    """Measure what options of the compiler bring on a GPU."""
    if jax.default_backend() != "gpu":
        recorder.note("left out", why="these options are for GPUs")
        return
    _measure_all(recorder, OPTIONS)


def _measure_all(recorder: Recorder, cases: tuple[Case, ...]) -> None:
    for case in cases:
        if not recorder.has_time(8):
            recorder.note("left out", why="no time", case=dataclasses.asdict(case))
            continue
        with recorder.attempt("speed", **dataclasses.asdict(case)):
            _measure(recorder, case)


def _measure(recorder: Recorder, case: Case) -> None:
    program = _Program(case, recorder.short)
    took = recorder.time_it(program.take, jax.block_until_ready)
    rate = 1e3 * program.images / took["ms"]
    cost = flops.count_step(program.parts.network, (48, 48, program.parts.network.in_channels))
    peak = flops.Peak(None, "short") if recorder.short else _find_peak(case.dtype, case.precision)
    stats = jax.devices()[0].memory_stats() or {}
    facts = {
        "images_per_s": rate,
        "utilization": flops.find_utilization(cost, rate, peak, 1),
        "ms_a_step": took["ms"] / program.steps,
        "spread": took["spread"],
        "steps_a_dispatch": program.steps,
        "program_mb": program.find_memory() / 1e6,
        "peak_mb_so_far": stats.get("peak_bytes_in_use", 0) / 1e6,
        "compile_s": program.compile_s,
    }
    recorder.note("speed", **dataclasses.asdict(case), **facts)


@functools.cache
def _find_peak(dtype: str, precision: str) -> flops.Peak:
    return flops.find_peak(dtype, precision)


class _Program:
    """A case's dispatch, which is taken again and again on images of noise."""

    def __init__(self, case: Case, short: bool) -> None:
        rows = 64 if short else _ROWS
        batch = min(case.batch, 16) if short else case.batch
        self.steps = min(case.dispatch or 100, rows // batch, 3 if short else 100)
        self.images = self.steps * batch * case.seeds
        self._turn, self._turns = 0, max(1, rows // batch // self.steps)
        self.parts = _build(case, batch, rows, short)
        self._layout = create_layout("mesh", 1, case.seeds if case.seeds > 1 else 0)
        dispatch = make_dispatch(
            self.parts.train_step,
            self._layout,
            num_classes=7,
            batch_size=batch,
            log_every_steps=10,
            at_most=self.steps,
            known_length=case.known_length,
        )
        function = self._layout.map_seeds(functools.partial(dispatch, 0), 2)
        options = choose_options(case.options, case.deterministic, jax.default_backend())
        self._arguments = self._place(rows, case.seeds)
        start_s = time.perf_counter()
        with arithmetic.fixed(case.precision):
            jitted = jax.jit(
                function, donate_argnums=0, out_shardings=self._layout.state, compiler_options=options or None
            )
            self._train = jitted.lower(self._state, *self._arguments).compile()
        self.compile_s = time.perf_counter() - start_s

    def _place(self, rows: int, seeds: int) -> tuple[Any, ...]:
        random, everywhere = np.random.default_rng(0), self._layout.everywhere
        images = random.integers(0, 256, (rows, 48, 48, 1)).astype(np.uint8)
        labels = random.integers(0, 7, rows).astype(np.int32)
        split = Resident(*jax.device_put((images, labels), everywhere))
        order = np.tile(random.permutation(rows).astype(np.int32), 2)

        def create() -> Any:
            seed = jnp.uint32(0)
            return self.parts.create_state(seed, self.parts.create_variables(seed))

        self._state = initialize(create, self._layout)
        if seeds > 1:
            stack = functools.partial(jnp.repeat, repeats=seeds, axis=0)
            self._state = jax.tree.map(lambda leaf: stack(leaf[None]), self._state)
            order = np.tile(order, (seeds, 1))
        self._first = np.zeros(self._layout.stacked, np.int32)
        return jax.device_put(order, self._layout.state), split, jax.device_put(np.int32(self.steps), everywhere)

    def take(self) -> Any:
        """Take one dispatch; the steps stay within the epoch that the order is of."""
        self._turn += 1
        if self._turn % self._turns == 0:
            self._state = self._state.replace(step=jax.device_put(self._first, self._layout.state))
        self._state, figures = self._train(self._state, *self._arguments)
        return figures

    def find_memory(self) -> int:
        """Return the bytes of the program's arguments and intermediate values."""
        memory = self._train.memory_analysis()
        return int(memory.temp_size_in_bytes + memory.argument_size_in_bytes) if memory else 0


def _build(case: Case, batch: int, rows: int, short: bool) -> Parts:
    keys: dict[str, Any] = {"model.name": case.network, "model.dtype": case.dtype, "train.batch_size": batch}
    config = load_config("compact" if case.network == "compact" else "random_init")
    if not case.augmented:
        keys |= {f"augment.{name}": 0.0 for name in config.augment if name.endswith(("_prob", "_deg"))}
        keys |= {"augment.shift_fraction": 0.0, "augment.zoom_fraction": 0.0}
    config = load_config("compact" if case.network == "compact" else "random_init", keys)
    if short:
        config = load_config("compact" if case.network == "compact" else "random_init", keys | {"model.width": 0.05})
    return build(config, Task((48, 48, 1), (rows - 6, 1, 1, 1, 1, 1, 1)))
