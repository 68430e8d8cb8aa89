"""The jobs for Slurm and Kubernetes, without either: stand-ins for srun and scontrol say what they were asked."""

import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
SLURM, K8S = ROOT / "scripts" / "slurm", ROOT / "scripts" / "k8s"
STAND_INS = {
    "srun": 'echo "srun ${SRUN_CPUS_PER_TASK-} $*" >>"$CALLS"; sleep "${SRUN_S:-0}"; exit "${CODE:-0}"',
    "scontrol": 'echo "scontrol $*" >>"$CALLS"',
}


@pytest.fixture
def submit(tmp_path):
    """`submit(SCRIPT, ARGUMENT..., VARIABLE=VALUE...)` runs it as Slurm would: its code, output, and calls of srun."""
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    (tmp_path / "some.py").write_text("")
    for name, body in STAND_INS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\n{body}\n")
        path.chmod(0o755)

    def start(script, *arguments, **changed):
        own = {
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "CALLS": str(tmp_path / "calls"),
            "SLURM_SUBMIT_DIR": str(tmp_path),
            "SLURM_JOB_ID": "42",
            "SLURM_CPUS_PER_TASK": "4",
            "PYTHON": "python",
        }
        kept = {key: value for key, value in os.environ.items() if key not in ("WORKDIR", "SEEDS_PER_TASK")}
        # Slurm runs a copy of the file from a folder of its own.
        copy = tmp_path / "spool" / "slurm_script"
        copy.parent.mkdir(exist_ok=True)
        copy.write_text((SLURM / script).read_text())
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        environment = kept | own | changed
        return subprocess.Popen(["bash", copy, *arguments], **pipes, cwd=copy.parent, env=environment)

    def run(script, *arguments, **changed):
        process = start(script, *arguments, **changed)
        output, _ = process.communicate(timeout=30)
        calls = tmp_path / "calls"
        return process.returncode, output, calls.read_text().splitlines() if calls.exists() else []

    run.start, run.calls = start, tmp_path / "calls"
    return run


TASK = {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "3"}


def test_a_task_of_the_array_trains_its_seed(submit):
    code, _, calls = submit("sweep_seeds.sbatch", "some.py", "--config.data.path=a b", **TASK)
    command = "python -m ferjax.main --config some.py --workdir workdir/some/seed_3 --config.train.seed=3"
    assert (code, calls) == (0, [f"srun 4 {command} --config.data.path=a b"])


def test_a_task_can_train_several_seeds(submit):
    _, _, calls = submit("sweep_seeds.sbatch", "some.py", SEEDS_PER_TASK="2", WORKDIR="/runs", **TASK)
    command = "python -m ferjax.main --config some.py --workdir /runs/some --config.train.seeds=(6,7)"
    assert calls == [f"srun 4 {command}"]


def test_several_nodes_train_one_run(submit):
    _, _, calls = submit("train_multinode.sbatch", "some.py", "--config.train.epochs=3")
    command = "python -m ferjax.main --distributed --config some.py --workdir workdir/some --config.train.epochs=3"
    assert calls == [f"srun 4 --wait=60 {command}"]


def test_the_report_is_of_the_folder(submit):
    _, _, calls = submit("evaluate.sbatch", "workdir/some", "--baseline", "one")
    assert calls == ["srun 4 python -m ferjax.evaluate --workdir workdir/some --baseline one"]


@pytest.mark.parametrize(
    ("script", "task", "job"), [("sweep_seeds.sbatch", TASK, "40_3"), ("train_multinode.sbatch", {}, "42")]
)
def test_what_saved_itself_in_time_is_requeued(submit, script, task, job):
    code, _, calls = submit(script, "some.py", CODE="143", **task)
    assert (code, calls[1:]) == (143, [f"scontrol requeue {job}"])


@pytest.mark.parametrize("code", ["0", "1", "137"])
def test_what_ended_otherwise_is_not_requeued(submit, code):
    ended, _, calls = submit("sweep_seeds.sbatch", "some.py", CODE=code, **TASK)
    assert (ended, len(calls)) == (int(code), 1)


def test_a_cancelled_job_saves_and_stays_cancelled(submit):
    process = submit.start("sweep_seeds.sbatch", "some.py", CODE="143", SRUN_S="0.5", **TASK)
    while not submit.calls.exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert len(submit.calls.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "changed", "sentence"),
    [
        ([], {}, "Which config?"),
        (["other.py"], {}, "There is no config file other.py"),
        (["some.py", "3"], {}, "What is '3'?"),
        (["some.py", "--config.train.seed=3"], {}, "--config.train.seed is set by this script"),
        (["some.py", "--config.train.seeds=(3,)"], {}, "--config.train.seeds is set by this script"),
        (["some.py"], {"SEEDS_PER_TASK": "0"}, "SEEDS_PER_TASK=0 is not a whole number above 0."),
        (["some.py"], {"SLURM_ARRAY_TASK_ID": ""}, "Submit this file with --array=SEEDS"),
    ],
)
def test_wrong_arguments_are_told(submit, arguments, changed, sentence):
    code, output, calls = submit("sweep_seeds.sbatch", *arguments, **(TASK | changed))
    assert code in (1, 2)
    assert sentence in output
    assert not calls


def directives(script):
    lines = (SLURM / script).read_text().splitlines()
    return [word for line in lines if line.startswith("#SBATCH ") for word in shlex.split(line.removeprefix("#SBATCH"))]


@pytest.mark.parametrize("script", ["sweep_seeds.sbatch", "train_multinode.sbatch"])
def test_a_job_is_told_in_time_and_may_be_requeued(script):
    # Without 'B:', SIGTERM goes to srun's tasks and not to the shell, by which run.sh tells it from a cancelled job.
    assert {"--requeue", "--signal=TERM@120", "--open-mode=append"} <= set(directives(script))


def read_k8s(name):
    documents = {each["kind"]: each for each in yaml.safe_load_all((K8S / name).read_text())}
    job = documents["Job"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    return documents, job, pod, container


@pytest.mark.parametrize("name", ["train.yaml", "sweep_seeds.yaml"])
def test_a_pod_comes_back_and_has_time_to_save(name):
    _, job, pod, container = read_k8s(name)
    assert job["completionMode"] == "Indexed"
    assert pod["restartPolicy"] == "Never"  # podFailurePolicy wants it so; the Job makes a new pod
    assert pod["terminationGracePeriodSeconds"] >= 60
    assert container["volumeMounts"][0]["name"] == pod["volumes"][0]["name"]
    assert "persistentVolumeClaim" in pod["volumes"][0]
    ignored = [rule for rule in job["podFailurePolicy"]["rules"] if rule["action"] == "Ignore"]
    assert ignored[0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert ignored[1]["onExitCodes"] == {"containerName": container["name"], "operator": "In", "values": [143]}


@pytest.mark.parametrize("name", ["train.yaml", "sweep_seeds.yaml"])
def test_the_index_reaches_flags_that_there_are(name):
    documents, job, pod, container = read_k8s(name)
    (variable,) = container["env"]
    index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == index
    assert container["command"] == ["python", "-m", "ferjax.main"]
    arguments = [each.replace(f"$({variable['name']})", "3") for each in container["args"]]
    flags = dict(each.removeprefix("--").split("=") for each in arguments)
    if name == "sweep_seeds.yaml":
        assert (flags["config.train.seed"], flags["workdir"]) == ("3", "/runs/optimal/seed_3")
        return
    # With --help the flags are parsed, the config's keys too, and nothing runs.
    command = [sys.executable, *container["command"][1:], *arguments, "--help"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False).returncode == 0
    assert (flags["process_count"], flags["process_index"]) == (str(job["completions"]), "3")
    assert job["parallelism"] == job["completions"]
    # The name of the Job's pod 0 under the headless Service.
    job_name, service = documents["Job"]["metadata"]["name"], documents["Service"]
    host, _, port = flags["coordinator_address"].partition(":")
    assert host == f"{job_name}-0.{service['metadata']['name']}"
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"]
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": job_name}
    assert [each["port"] for each in service["spec"]["ports"]] == [int(port)]
