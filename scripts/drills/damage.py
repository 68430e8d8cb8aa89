"""Checkpoints and saved networks with flipped bytes, cut files and missing files: never a silently wrong network."""

import logging
import pathlib
import random
import shutil
import subprocess
from collections.abc import Iterator

import numpy as np

import ferjax
from ferjax.errors import UserError
from ferjax.network import Network
from ferjax.training.places import list_places
from scripts.drills.drill import expect
from scripts.drills.runs import check_same, check_sentence, command, environment, finish


def run(folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    """Damage a checkpoint in each case and load it; in every twentieth let the run go on, too."""
    logging.getLogger("ferjax").setLevel(logging.ERROR)
    env, straight = environment(folder / "cache"), folder / "straight"
    finish(command(straight), env)
    checkpoints = list_places(straight / "checkpoints")
    expect(len(checkpoints) == 2, f"the run keeps {len(checkpoints)} checkpoints, not 2")
    intact = {place.name: _load_alone(straight, place.name, folder / "alone") for place in checkpoints}
    seen = {"newest": 0, "the one before": 0, "refused": 0}
    resumed = 0
    for case in range(cases):
        broken = folder / "broken"
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(straight, broken)
        names = [place.name for place in checkpoints]
        damaged = names if chance.random() < 0.15 else names[-1:]
        said = "; ".join(damage(broken / "checkpoints" / name, chance) for name in damaged)
        try:
            network = ferjax.load(broken)
        except UserError as error:
            expect("\n" not in str(error), f"case {case} ({said}): more than a sentence: {error}")
            expect(len(damaged) == 2, f"case {case} ({said}): the intact checkpoint was not used: {error}")
            seen["refused"] += 1
        else:
            used = network.about["checkpoint"]
            expect(_equal(network, intact[used]), f"case {case} ({said}): a wrong network, silently, from {used}")
            seen["newest" if used == names[-1] else "the one before"] += 1
        if case % 20 == 0:
            done = subprocess.run(command(broken), env=env, capture_output=True, text=True, check=False)
            if done.returncode:
                check_sentence(done, f"case {case} ({said})")
                expect(len(damaged) == 2, f"case {case} ({said}): the run did not go on: {done.stderr[-500:]}")
            else:
                check_same(straight, broken, f"case {case} ({said})")
            resumed += 1
    yield f"{cases} damaged checkpoints: {seen}; {resumed} runs went on"
    yield from _damage_saved(next(iter(intact.values())), folder, cases, chance)


def damage(checkpoint: pathlib.Path, chance: random.Random) -> str:
    """Break one file of a checkpoint, and return what was done to it."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.stat().st_size)
    # Most bytes are in few files, but small ones matter as much.
    weights = [path.stat().st_size + 2000 for path in files]
    path = chance.choices(files, weights)[0]
    content = bytearray(path.read_bytes())
    kind = chance.choice(["flip", "cut", "remove", "zero", "swap"])
    if kind == "flip":
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del content[chance.randrange(len(content)) :]
    elif kind == "zero":
        start = chance.randrange(len(content))
        content[start : start + 4096] = bytes(len(content[start : start + 4096]))
    elif kind == "swap":
        content = bytearray(files[chance.randrange(len(files))].read_bytes())
    if kind == "remove":
        path.unlink()
    elif content == path.read_bytes():  # swapped for the same, or zeros over zeros
        return damage(checkpoint, chance)
    else:
        path.write_bytes(content)
    return f"{kind} {path.relative_to(checkpoint.parent)}"


def _load_alone(run: pathlib.Path, name: str, beside: pathlib.Path) -> Network:
    """Load the network of one of a run's checkpoints."""
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(run, beside)
    for other in (beside / "checkpoints").iterdir():
        if other.name != name:
            shutil.rmtree(other)
    return ferjax.load(beside)


def _equal(one: Network, other: Network) -> bool:
    import jax

    pairs = zip(jax.tree.leaves(dict(one.variables)), jax.tree.leaves(dict(other.variables)), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def _damage_saved(network: Network, folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    path = folder / "network.safetensors"
    network.save(path)
    content, refused = path.read_bytes(), 0
    for case in range(cases):
        broken = bytearray(content)
        at = chance.randrange(len(broken))
        broken[at] ^= 1 << chance.randrange(8)
        path.write_bytes(broken if case % 4 else broken[:at])
        try:
            loaded = ferjax.load(path)
        except UserError as error:
            expect("\n" not in str(error), f"byte {at}: more than a sentence: {error}")
            refused += 1
        else:
            expect(_equal(loaded, network), f"byte {at} of a saved network: a wrong network, silently")
    yield f"{cases} damaged files of Network.save: {refused} refused, the others give the same network"
