"""ferjax: a loaded network, called with ready crops or asked for the faces of a picture."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import ferjax
from ferjax import runtime
from scripts.benchmarks.peers.packages import CROPS
from scripts.benchmarks.peers.pictures import NETWORK_FILE, check_faces, find_beside, read_crops, read_picture
from scripts.benchmarks.protocol import Commands, Step, Wait


def create(form: str, task: str, batch: int, data: str, threads: int) -> tuple[Step, Wait]:
    """Make a step of 'crops' or of 'picture'; jax takes all cores that the process may use, which the driver limits."""
    runtime.keep_compiled()  # as `ferjax predict` does
    network = ferjax.load(find_beside(data, NETWORK_FILE))
    if task == CROPS:
        crops = read_crops(data, batch)
        check_faces(len(network(crops, batch_size=batch)), task, batch)
        return lambda: network(crops, batch_size=batch), lambda _: None
    picture = read_picture(data)
    check_faces(int(network.predict(picture)["label"].count()), task, batch)
    return lambda: network.predict(picture), lambda _: None


def compute_logits(data: str, batch: int) -> dict[str, Any]:
    """Compute the logits of the crops, which another form of the same network must have too."""
    network = ferjax.load(find_beside(data, NETWORK_FILE))
    images = jnp.asarray(network.fit(read_crops(data, batch)), jnp.float32)
    return {"logits": np.asarray(jax.jit(network.compute_logits)(network.variables, images)).tolist()}


COMMANDS: Commands = {"logits": compute_logits}
