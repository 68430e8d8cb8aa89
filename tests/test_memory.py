"""What is said of a device whose memory is too small."""

import jax
import pytest

from ferjax.errors import UserError
from ferjax.parallel import memory

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


def test_the_sentence_names_it(monkeypatch):
    monkeypatch.setattr(memory, "_find_free", lambda: GIB)
    said = r"a step of 2000 images: lower --config.train.batch_size \(by an estimate, 400 images fit\), or"
    with pytest.raises(UserError, match=said), memory.explain_memory(2000):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 4294967296 bytes.")
    said = r"lower --config\.train\.batch_size, or --config\.eval\.batch_size"
    with pytest.raises(UserError, match=said), memory.explain_memory(2000):
        raise MemoryError
    with pytest.raises(jax.errors.JaxRuntimeError), memory.explain_memory(2000):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")


def test_what_is_free_here_is_known():
    assert memory._find_free() > 0
