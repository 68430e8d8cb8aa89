"""`ferjax serve`: its flags, and one sentence for each mistake."""

import signal
import socket

import pytest

from ferjax.cli import serve
from ferjax.cli.serve import _list_hosts, main


@pytest.fixture
def served(monkeypatch):
    """What would have been served, and the signals that are ignored then."""
    told = {"ignored": []}
    monkeypatch.setattr(signal, "signal", lambda number, handler: told["ignored"].append((number, handler)))
    monkeypatch.setattr("ferjax.serving.serve", lambda network, **options: told.update(options, network=network))
    monkeypatch.setattr("ferjax.runtime.keep_compiled", lambda: None)
    return told


def test_flags_become_limits(served, finished_run):
    flags = ["--network", str(finished_run), "--port=9000", "--max_upload_mb=300", "--wait_ms=9", "--max_files=2"]
    assert main(flags) == 0
    assert (served["host"], served["port"], served["wait_s"]) == ("127.0.0.1", 9000, 0.009)
    limits = served["limits"]
    assert (limits.body_bytes, limits.waiting_bytes, limits.files) == (300_000_000, 300_000_000, 2)
    assert served["hosts"] == ["localhost", "127.0.0.1", "::1", "127.0.0.1"]
    # A second Ctrl-C as the process ends does not change its exit code.
    assert served["ignored"] == [(signal.SIGINT, signal.SIG_IGN), (signal.SIGTERM, signal.SIG_IGN)]


def test_help_leaves_the_signals_as_they_are(served, capsys):
    assert main(["--help"]) == 0
    assert served["ignored"] == []


def test_a_server_for_other_machines_answers_to_any_name_unless_some_are_given():
    assert _list_hosts("0.0.0.0", None) is None
    assert _list_hosts("localhost", "a.example, B.example")[-2:] == ["a.example", "b.example"]
    assert "c.example" in _list_hosts("0.0.0.0", "c.example")


def test_a_taken_port_and_an_address_elsewhere_are_named(finished_run, monkeypatch, capsys):
    monkeypatch.setattr("ferjax.runtime.keep_compiled", lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--network", str(finished_run), f"--port={port}"]) == 1
    assert f"Port {port} of 127.0.0.1 is taken" in capsys.readouterr().err
    assert main(["--network", str(finished_run), "--host=203.0.113.9"]) == 1
    assert "cannot be listened on" in capsys.readouterr().err


def test_a_missing_package_is_named(monkeypatch, capsys):
    monkeypatch.setattr(serve, "_PACKAGES", ("starlette", "not_there"))
    assert main([]) == 1
    assert "needs the package not_there: pip install 'ferjax[serve]'" in capsys.readouterr().err


def test_wrong_flags_are_refused(capsys):
    assert main(["--port=http"]) == 2
    assert main(["--port=70000"]) == 2
    assert main(["--max_upload_mb=0"]) == 2
