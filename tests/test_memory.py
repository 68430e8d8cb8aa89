"""What is said of a device whose memory is too small."""

import contextlib
import re

import jax
import pytest

import ferjax
from ferjax import machine
from ferjax.errors import UserError
from ferjax.parallel import memory
from tests.tiny import SMALL

GIB = 1 << 30


@pytest.mark.parametrize(
    ("said", "free", "fitting"),
    [
        ("RESOURCE_EXHAUSTED: Out of memory allocating 4294967296 bytes.", GIB, 400),
        ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4.00GiB.", GIB, 400),
        ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4.00GiB.", 8 * GIB, None),
        ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4.00GiB.", None, None),
        ("RESOURCE_EXHAUSTED: Out of memory", GIB, None),
        ("RESOURCE_EXHAUSTED: Out of memory allocating 4294967296 bytes.", 0, None),
    ],
)
def test_the_largest_batch_is_estimated(said, free, fitting):
    assert memory.estimate_batch(2000, said, free) == fitting


def test_a_network_that_does_not_fit_is_told_before_it_is_made(monkeypatch):
    parameters = {"kernel": jax.ShapeDtypeStruct((2**31 - 1, 2**31 - 1), "float32")}
    monkeypatch.setattr(memory, "find_free", lambda: None)
    memory.check_state(parameters, (parameters, parameters))
    monkeypatch.setattr(memory, "find_free", lambda: GIB)
    memory.check_state({}, {"kernel": jax.ShapeDtypeStruct((GIB // 4,), "float32")})
    with pytest.raises(UserError, match=r"4,611,686,014,132,420,609 parameters need .* lower model.width or"):
        memory.check_state(parameters, (parameters, parameters))


def test_the_sentence_names_it(monkeypatch):
    monkeypatch.setattr(memory, "find_free", lambda: GIB)
    said = r"a step of 2000 images: lower train.batch_size \(by an estimate, there is room for 400 images\), or"
    with pytest.raises(UserError, match=said), memory.explain_memory(2000):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 4294967296 bytes.")
    said = r"lower train\.batch_size, or eval\.batch_size"
    with pytest.raises(UserError, match=said), memory.explain_memory(2000):
        raise MemoryError
    with pytest.raises(UserError, match="no memory for another thread"), memory.explain_memory(2000):
        raise RuntimeError("can't start new thread")
    with pytest.raises(UserError, match="no memory for another library"), memory.explain_memory(2000):
        raise ImportError("lib.so: failed to map segment from shared object")
    with pytest.raises(ImportError, match="no module"), memory.explain_memory(2000):
        raise ImportError("no module")
    with pytest.raises(RuntimeError, match=r"^other$"), memory.explain_memory(2000):
        raise RuntimeError("other")
    with pytest.raises(jax.errors.JaxRuntimeError), memory.explain_memory(2000):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")


def test_what_is_free_here_is_known():
    assert machine.find_free_memory() > 0


@pytest.fixture
def sorting(monkeypatch):
    """A step on 300 images, the images, and how many bytes it needs; nothing is needed beside it."""
    step = jax.jit(lambda images: jax.numpy.sort(jax.numpy.tanh(images @ images.T) @ images, axis=0))
    images = jax.numpy.ones((300, 50))
    found = step.lower(images).compile().memory_analysis()
    monkeypatch.setattr(memory, "_BESIDE_BYTES", 0)
    return step, images, jax.local_device_count() * (found.temp_size_in_bytes + found.output_size_in_bytes)


@pytest.mark.parametrize(
    ("share", "kept", "said"),
    [
        (0.5, 0, None),
        (0.5, 1, "warned"),
        (0.95, 0, "warned"),
        (1.05, 0, "refused"),
    ],  # `kept` as a share of what is free
)
def test_a_step_that_leaves_next_to_nothing_gets_a_warning(monkeypatch, caplog, sorting, share, kept, said):
    step, images, needed = sorting
    free = int(needed / share)
    monkeypatch.setattr(machine, "find_kept_memory", lambda: kept * free)
    monkeypatch.setattr(memory, "find_free", lambda: free)
    with pytest.raises(UserError) if said == "refused" else contextlib.nullcontext():
        memory.MemoryCheck(step, "train.batch_size", 300)(0, images)
    warned = (
        r"GB are free: if the system ends this run without a word, lower train\.batch_size \(by an est.* images\)\.$"
    )
    assert bool(re.search(warned, caplog.text.strip())) == (said == "warned")


def test_what_is_free_is_read_behind_compiling(monkeypatch, sorting):
    step, images, needed = sorting
    left = iter((4 * needed, needed // 2))
    monkeypatch.setattr(machine, "find_kept_memory", lambda: 0)
    monkeypatch.setattr(memory, "find_free", lambda: next(left))
    with pytest.raises(UserError, match="A step of 300 images needs"):
        memory.MemoryCheck(step, "train.batch_size", 300)(0, images)


def test_a_step_that_does_not_fit_is_refused_before_it_runs(monkeypatch):
    called = []

    @jax.jit
    def step(images):
        called.append(images.shape)  # when it is traced
        return jax.numpy.sort(jax.numpy.tanh(images @ images.T) @ images, axis=0)

    images = jax.numpy.ones((300, 50))
    monkeypatch.setattr(memory, "_BESIDE_BYTES", 0)
    monkeypatch.setattr(machine, "find_kept_memory", lambda: 0)
    needed = step.lower(images).compile().memory_analysis().temp_size_in_bytes * jax.local_device_count()
    monkeypatch.setattr(memory, "find_free", lambda: needed // 2)
    check = memory.MemoryCheck(step, "train.batch_size", 300)
    with pytest.raises(
        UserError, match=r"A step of 300 images needs .* GB .*: lower train.batch_size \(by an estimate"
    ):
        check(0, images)
    check(0, images)  # a variant is checked once
    monkeypatch.setattr(memory, "find_free", lambda: None)
    check(1, images)
    step(images)
    assert called == [(300, 50)], "the check compiles what is called"
    monkeypatch.setattr(memory, "find_free", lambda: needed // 2)
    with pytest.raises(UserError, match=r"for 3 seeds: say parallel.seeds=in_turn, or lower"):
        memory.MemoryCheck(step, "train.batch_size", 300, 3)(0, images)


@pytest.mark.parametrize(
    ("names", "cached"),
    [
        (("memory.max", "memory.current"), "inactive_file"),
        (("memory.limit_in_bytes", "memory.usage_in_bytes"), "total_inactive_file"),
    ],
)
def test_limits_of_control_groups_count(tmp_path, monkeypatch, names, cached):
    group = tmp_path / "job"
    group.mkdir()
    monkeypatch.setattr(machine, "list_groups", lambda: [tmp_path, group])
    monkeypatch.setattr(machine, "find_kept_memory", lambda: 0)
    assert list(machine.list_groups_free()) == []
    for name, content in zip(names, ("5000", "4000"), strict=True):
        (group / name).write_text(content)
    (group / "memory.stat").write_text(f"anon 1\n{cached} 700\n")
    assert list(machine.list_groups_free()) == [1700]
    assert machine.find_free_memory() == 1700
    (group / names[0]).write_text("max\n")
    assert list(machine.list_groups_free()) == []


def test_a_run_asks_before_its_first_step(tmp_path, monkeypatch):
    def refuse(check, *_):
        raise UserError(f"{check._key} asks")

    monkeypatch.setattr(memory.MemoryCheck, "__call__", refuse)
    with pytest.raises(UserError, match=r"train\.batch_size asks"):
        ferjax.train("quickstart", tmp_path, SMALL)


def test_python_is_told_the_same_sentence(tmp_path, monkeypatch):
    def run_out(*_, **__):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 4129824256 bytes.")

    monkeypatch.setattr("ferjax.training.run.run", run_out)
    with pytest.raises(UserError, match=r"memory does not hold a step of 24 images: lower train\.batch_size"):
        ferjax.train("quickstart", tmp_path, SMALL)
