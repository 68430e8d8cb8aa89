"""Bodies that are endless, slow or too many, before a server is needed."""

import asyncio
import json

import pytest
from starlette.requests import ClientDisconnect

from ferjax.serving.bodies import Admission, while_connected
from ferjax.serving.refusal import Refusal
from ferjax.serving.service import Service
from tests.serving.conftest import LIMITS


def _send(app, receive, *headers):
    """Send a request to the application itself; return what it sends."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        **{"type": "http", "method": "POST", "path": "/predict", "raw_path": b"/predict", "query_string": b""},
        **{"headers": [(b"host", b"testserver"), *headers], "http_version": "1.1", "scheme": "http", "root_path": ""},
    }
    asyncio.run(asyncio.wait_for(app(scope, receive, send), 20))
    return sent


def _ask(app, receive, *headers):
    """Send a request; return the status, the headers and the answer."""
    sent = _send(app, receive, *headers)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), json.loads(body)


CHUNKED = (b"transfer-encoding", b"chunked")


def test_an_endless_upload_is_cut_off(client, app):
    count = 0

    async def receive():
        nonlocal count
        count += 1
        return {"type": "http.request", "body": bytes(100_000), "more_body": True}

    status, headers, answer = _ask(app, receive, CHUNKED)
    assert (status, answer["error"][:35]) == (413, "The upload has more than 0.3 MB: se")
    assert headers[b"connection"] == b"close"
    assert count < 1000


@pytest.mark.parametrize("declared", [b"9" * 5000, "\u00b2".encode("latin-1"), b"300001"])
def test_a_declared_size_may_be_anything(client, app, declared):
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    status, _, _ = _ask(app, receive, (b"content-length", declared))
    assert status == (413 if declared.isdigit() else 422)


def test_a_slow_upload_is_cut_off(client, app):
    async def receive():
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b".", "more_body": True}

    status, _, answer = _ask(app, receive, CHUNKED)
    assert (status, answer["error"][:42]) == (408, "The upload was not complete after 0.3 seco")


def test_the_work_for_a_client_that_leaves_is_cancelled():
    class Request:
        async def receive(self):
            await asyncio.sleep(seconds)
            return {"type": "http.disconnect"}

    ended = []

    async def answer():
        try:
            await asyncio.sleep(0.1)
            return "answer"
        finally:
            ended.append(True)

    seconds = 60
    assert asyncio.run(while_connected(Request(), answer())) == "answer"
    seconds = 0
    with pytest.raises(ClientDisconnect):
        asyncio.run(while_connected(Request(), answer()))
    assert ended == [True, True]


def test_the_application_drops_the_work_for_a_client_that_leaves(client, app, monkeypatch):
    ended = []

    async def answer(self, uploads, wishes):
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(len(uploads))

    monkeypatch.setattr(Service, "answer", answer)
    messages = [{"type": "http.request", "body": b"picture", "more_body": False}, {"type": "http.disconnect"}]

    async def receive():
        return messages.pop(0)

    assert _send(app, receive)[0]["status"] == 499
    assert ended == [1]


def test_too_many_requests_and_too_many_bytes_are_asked_to_wait():
    admission = Admission(LIMITS)

    async def run():
        async with admission.admit() as first, admission.admit(), admission.admit():
            first.take(LIMITS.waiting_bytes)
            with pytest.raises(Refusal) as refusal:
                first.take(1)
            assert (refusal.value.status, refusal.value.retry_after_s) == (503, 1)
            with pytest.raises(Refusal):
                async with admission.admit():
                    pass
        assert (admission.requests, admission.bytes) == (0, 0)
        async with admission.admit() as held:
            held.take(LIMITS.waiting_bytes)

    asyncio.run(run())


def test_what_is_given_up_is_refused_and_a_time_out_of_its_own_is_not():
    admission = Admission(LIMITS)

    async def last(seconds):
        async with admission.admit():
            await asyncio.sleep(seconds)

    async def time_out():
        async with admission.admit(), asyncio.timeout(0):
            await asyncio.sleep(60)

    async def run():
        short, long = asyncio.ensure_future(last(0)), asyncio.ensure_future(last(60))
        await short
        assert admission.give_up() == 1
        with pytest.raises(Refusal, match="The server is ending, and this was not done in time") as refusal:
            await long
        assert refusal.value.status == 503
        with pytest.raises(TimeoutError):
            await time_out()

    asyncio.run(run())
    assert (admission.requests, admission.give_up()) == (0, 0)


def test_a_refusal_says_when_to_ask_again(client, app, monkeypatch):
    def refuse(self):
        raise Refusal(503, "Wait.", retry_after_s=7)

    monkeypatch.setattr(Admission, "admit", refuse)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    status, headers, _ = _ask(app, receive)
    assert (status, headers[b"retry-after"]) == (503, b"7")
