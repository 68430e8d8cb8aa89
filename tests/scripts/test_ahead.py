"""The kernels of a step on devices that are not here: the counting, and, with a GPU's compiler, the step itself."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

from scripts.ahead.tally import count_bytes, tally

ROOT = pathlib.Path(__file__).parents[2]
# The folder that scripts/count_kernels.sh has put the compilers into.
AHEAD = pathlib.Path(os.environ.get("AHEAD", ROOT / ".ahead"))

MODULE = """HloModule jit_step, entry_computation_layout={()->f32[]}

%fused_a (p: f32[4,8]) -> f32[8,4] {
  %p = f32[4,8]{1,0} parameter(0)
  ROOT %t = f32[8,4]{1,0} transpose(%p), dimensions={1,0}
}

%body (carry: (f32[4,8], s32[])) -> (f32[4,8], s32[]) {
  %carry = (f32[4,8]{1,0}, s32[]) parameter(0)
  %x = f32[4,8]{1,0} get-tuple-element(%carry), index=0
  %turned = f32[8,4]{1,0} fusion(%x), kind=kLoop, calls=%fused_a
  %other = bf16[8,4]{1,0} fusion(%turned), kind=kInput, calls=%fused_a, metadata={op_name="x"}
  %conv = (f32[4,8]{1,0}, u8[16]{0}) custom-call(%x, %turned), custom_call_target="__cudnn$convForward"
  ROOT %out = (f32[4,8]{1,0}, s32[]) tuple(%x, %i)
}

%condition (carry: (f32[4,8], s32[])) -> pred[] {
  ROOT %yes = pred[] constant(true)
}

ENTRY %main (a: f32[4,8]) -> f32[4,8] {
  %a = f32[4,8]{1,0} parameter(0)
  %loop = (f32[4,8]{1,0}, s32[]) while(%a), condition=%condition, body=%body
}
"""


def test_shapes_have_bytes():
    assert count_bytes("f32[2,3]{1,0}") == 24
    assert count_bytes("(bf16[8]{0}, u8[16]{0}, pred[], s32[])") == 16 + 16 + 1 + 4


def test_the_body_of_the_loop_over_steps_is_counted():
    counts = tally(MODULE)
    assert {kind: count.kernels for kind, count in counts.items()} == {
        "__cudnn$convForward": 1,
        "fusion with transpose": 2,
    }
    convolution = counts["__cudnn$convForward"]
    assert (convolution.read, convolution.written) == (2 * 128, 128 + 16)
    assert (counts["fusion with transpose"].read, counts["fusion with transpose"].written) == (2 * 128, 128 + 64)


# Of jax 0.10.2, with a tenth of room: (kernels, MB, transposes) a step.
BOUNDS = {("random_init", "float32", 32): (178, 1642, 12)}


@pytest.mark.slow
@pytest.mark.parametrize(("config", "dtype", "batch"), BOUNDS)
def test_a_step_of_an_h200_has_no_more_kernels_bytes_and_transposes_than_it_had(config, dtype, batch, tmp_path):
    if not (AHEAD / "jax_plugins").is_dir() and importlib.util.find_spec("jax_cuda13_plugin") is None:
        pytest.skip("scripts/count_kernels.sh brings the compiler")
    keys = [f"--config.model.dtype={dtype}", f"--config.train.batch_size={batch}"]
    own = {"JAX_PLATFORMS": "cpu", "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1", "XLA_FLAGS": ""}
    own["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(AHEAD), os.environ.get("PYTHONPATH", "")])
    command = [
        sys.executable,
        "-m",
        "scripts.ahead",
        "--config",
        config,
        "--json",
        str(tmp_path / "counts.json"),
        *keys,
    ]
    subprocess.run(command, cwd=ROOT, env=os.environ | own, check=True)
    counts = json.loads((tmp_path / "counts.json").read_text())
    kernels, megabytes, transposes = BOUNDS[config, dtype, batch]
    assert counts["kernels"] <= 1.1 * kernels
    assert counts["bytes"] <= 1.1e6 * megabytes
    assert counts["transposes"] <= 1.1 * transposes


def test_without_a_compiler_it_is_said_which_package_brings_it():
    command = [sys.executable, "-m", "scripts.ahead", "--config", "compact", "--config.model.width=0.05"]
    own = {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    if importlib.util.find_spec("jax_cuda13_plugin") is not None:
        pytest.skip("it is here")
    ended = subprocess.run(command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "pip install --no-deps jax-cuda13-plugin==" in ended.stderr.splitlines()[-1]
