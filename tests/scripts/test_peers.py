"""The comparison with other packages, as far as it needs none of them: who takes part, the table, the same network."""

import importlib.util
import json
import os
import pathlib
import re
import subprocess

import numpy as np
import pytest

import ferjax
from scripts.benchmarks import contest, processes
from scripts.benchmarks.peers import __main__ as driver
from scripts.benchmarks.peers import network_worker, onnx_worker, packages, pictures, table

ROOT = pathlib.Path(__file__).parents[2]
PINS = ROOT / "scripts" / "benchmarks" / "peers" / "environments"
CROPS = {
    "task": "crops",
    "batch": 8,
    "unit": "faces/s",
    "values": {"ferjax": [900.0, 1000.0, 1200.0], "fer": [2000.0, 2500.0, 2000.0], "facex": [40.0]},
    "failed": {},
    "prepare_s": {"ferjax": 2.0, "fer": 0.5},
}
PICTURE = {
    "task": "picture",
    "batch": 1,
    "unit": "pictures/s",
    "values": {"ferjax": [80.0], "fer": [40.0]},
    "failed": {"facex": "no luck"},
    "prepare_s": {"ferjax": 1.0, "fer": 1.5},
}


def test_the_table_has_medians_and_ferjax_divided_by_each():
    made = table.make_table([CROPS, PICTURE])
    assert made.header[1:] == (
        "crops, batch 8, faces/s",
        "ferjax / it",
        "picture 640x360, pictures/s",
        "ferjax / it",
    )
    assert made.rows == (
        ("ferjax", "1,000", "", "80.0", ""),
        ("fer", "2,000", "0.50x", "40.0", "2.00x"),
        ("facex", "40.0", "25.00x", "failed", ""),
    )
    assert table.list_failures([CROPS, PICTURE]) == ["picture 640x360, pictures/s: facex: no luck"]
    assert table.list_starts([CROPS, PICTURE]) == ["ferjax 2.0 s", "fer 1.5 s"]


def test_without_ferjax_there_is_no_ratio():
    values = {"fer": [40.0]}
    made = table.make_table([{**PICTURE, "values": values, "failed": {"ferjax": "no luck", "facex": "none"}}])
    assert made.rows == (("fer", "40.0", ""), ("ferjax", "failed", ""), ("facex", "failed", ""))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["fer", "facex", "pyemotion"]),
        (["facex"], ["facex"]),
        (["pytorch", "onnxruntime"], []),
        (["fer", "pytorch"], ["fer"]),
    ],
)
def test_only_what_the_named_peers_need_is_installed(capsys, arguments, expected):
    assert driver.main(["--environments", "--peers", *arguments]) == 0
    assert capsys.readouterr().out.split() == expected
    chosen = packages.choose(arguments)
    assert chosen[0].name == "ferjax"
    assert {each.family for each in chosen[1:]} == set(arguments or packages.NAMES)


def test_an_unknown_peer_is_a_mistake(capsys):
    with pytest.raises(SystemExit, match="2"):
        driver.main(["--peers", "deepface"])
    assert "invalid choice: 'deepface'" in capsys.readouterr().err


def test_every_peer_has_its_worker_and_every_environment_its_versions():
    contenders = packages.choose([])
    for contender in contenders:
        assert importlib.util.find_spec(f"scripts.benchmarks.{contender.module}")
    for name in packages.list_environments(contenders):
        lines = [line.partition("#")[0].strip() for line in (PINS / f"{name}.txt").read_text().splitlines()]
        for line in filter(None, lines):
            # They are installed without what they ask for, so a version that is left open would be another each time.
            assert line == "-r tensorflow.txt" or re.fullmatch(r"[\w.-]+==[\w.]+", line)
        assert any(line.lower().startswith(f"{name}==") for line in lines)


def test_a_peer_that_finds_no_face_fails():
    pictures.check_faces(8, packages.CROPS, 8)
    pictures.check_faces(1, packages.PICTURE, 1)
    for found, task in ((0, packages.PICTURE), (2, packages.PICTURE), (7, packages.CROPS)):
        with pytest.raises(ValueError, match="answers where"):
            pictures.check_faces(found, task, 8)


class Clock:
    """A contender that notes its turns; `fails` is the turn in which its process ends."""

    def __init__(self, name, calls, fails=99):
        self.name, self.calls, self.fails = name, calls, fails

    def prepare(self):
        return 0.5

    def measure(self, steps):
        self.calls.append((self.name, steps))
        if len([name for name, _ in self.calls if name == self.name]) == self.fails:
            raise processes.ContenderError("it ended")
        return 0.25


def test_contenders_take_turns_and_one_that_ends_stops_nobody():
    calls, result = [], {**CROPS, "values": {}, "failed": {}, "prepare_s": {}}
    turns = contest.Turns("crops", 8, result, 1.0)
    turns.add("a", Clock("a", calls))
    turns.add("b", Clock("b", calls, fails=3))
    assert calls == [("a", 1), ("b", 1)]
    for number in range(3):
        turns.take_round(number)
    assert calls[2:] == [("a", 4), ("b", 4), ("b", 4), ("a", 4), ("a", 4)]
    assert result["values"] == {"a": [32.0, 32.0, 32.0]}
    assert result["failed"] == {"b": "it ended"}
    assert result["prepare_s"] == {"a": 0.5, "b": 0.5}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """What the driver writes for its contenders, of the network that ferjax brings along."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("peers")
        patch.setenv("FERJAX_CACHE", str(folder / "cache"))
        return str(driver._write(str(driver.SHIPPED), folder))


def test_the_network_in_torch_is_the_same_network(data):
    from scripts.benchmarks.peers import torch_worker

    ours = np.asarray(network_worker.compute_logits(data, 8)["logits"])
    theirs = [np.asarray(torch_worker.compute_logits(form, data, 8)["logits"]) for form in ("eager", "channels_last")]
    assert np.abs(ours).max() > 1
    for logits in theirs:
        np.testing.assert_allclose(logits, ours, atol=driver.LARGEST_DIFFERENCE)


def test_all_forms_of_the_network_answer_alike(data, monkeypatch):
    from scripts.benchmarks.peers import torch_worker

    monkeypatch.setattr(network_worker.runtime, "keep_compiled", lambda: None)  # it is for a process of its own
    modules = {"": network_worker, "onnx": onnx_worker, "eager": torch_worker}
    answers = [module.create(form, packages.CROPS, 8, data, 2)[0]() for form, module in modules.items()]
    for answer in answers:
        np.testing.assert_allclose(answer, answers[0], atol=1e-4)


def test_another_network_is_refused():
    from scripts.benchmarks.peers import torch_worker

    network = ferjax.load()
    facts = {"config": json.loads(json.dumps({**network.config, "model.pool": "max"}))}
    with pytest.raises(ValueError, match=re.escape("here model.pool is another")):
        torch_worker.create_model(network.variables, facts, None)


# Called as python is; it makes an environment of itself, and says what else it was asked for.
PYTHON = """#!/usr/bin/env bash
echo "$*" >>"$CALLS"
case "$*" in
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  *--environments*) [ "${FAIL:-}" ] && exit 2; echo facex ;;
esac
"""


@pytest.fixture
def clone(tmp_path):
    """A folder with the scripts, and an environment whose python is the stand-in."""
    for name in ("scripts", "pyproject.toml", "constraints.txt", "constraints-3.12.txt"):
        (tmp_path / name).symlink_to(ROOT / name)
    path = tmp_path / ".venv" / "bin" / "python"
    path.parent.mkdir(parents=True)
    path.write_text(PYTHON)
    path.chmod(0o755)
    return tmp_path


def run_script(clone, *arguments, **changed):
    own = {"CALLS": str(clone / "calls"), "PYTHON": str(clone / ".venv" / "bin" / "python"), "BENCH": "made"}
    # The script changes to the folder above its own, which must not be the one that the link leads to.
    command = ["bash", str(clone / "scripts" / "benchmark_inference.sh"), *arguments]
    code = subprocess.run(command, cwd=clone, env={**os.environ, **own, **changed}, capture_output=True).returncode
    return code, (clone / "calls").read_text().splitlines()


def test_the_script_installs_what_is_asked_for_once(clone):
    pins = "scripts/benchmarks/peers/environments/facex.txt"
    install = f"-m pip install --quiet --disable-pip-version-check --no-deps --requirement {pins}"
    code, calls = run_script(clone, "--peers", "facex", "--rounds", "2")
    assert code == 0
    assert [calls.count("-m venv made/facex"), calls.count(install)] == [1, 1]
    assert calls[-1] == "-m scripts.benchmarks.peers --bench made --peers facex --rounds 2"
    code, calls = run_script(clone, "--peers", "facex")
    assert calls.count(install) == 1
    assert calls[-1] == "-m scripts.benchmarks.peers --bench made --peers facex"


def test_the_script_installs_nothing_unasked(clone):
    assert run_script(clone, "--minutes", "0")[1][-1] == "-m scripts.benchmarks.inference --minutes 0"
    code, calls = run_script(clone, "--peers", "nobody", FAIL="1")
    assert code == 2
    assert not any("venv" in call for call in calls)
