import jax
import numpy as np
import pytest

from ferjax.data.resident import epoch_order


@pytest.mark.parametrize(("n", "batch_size"), [(10, 10), (10, 4), (10, 3), (10, 1), (7, 5)])
def test_every_epoch_reads_every_row_once(n, batch_size):
    keys = [jax.random.key(epoch) for epoch in range(8)]
    stream, step, epoch = [], 0, 0
    while epoch < 6:
        order = np.asarray(epoch_order(keys[epoch], keys[epoch + 1], n))
        while step * batch_size < (epoch + 1) * n:
            first = step * batch_size - epoch * n
            batch = order[first : first + batch_size]
            assert len(batch) == batch_size
            stream.extend(batch)
            step += 1
        epoch += 1
    for epoch in range(6):
        assert sorted(stream[epoch * n : (epoch + 1) * n]) == list(range(n))
    assert stream[:n] != stream[n : 2 * n]
