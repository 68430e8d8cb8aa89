"""The server around the application: how it ends."""

import asyncio

import uvicorn
from uvicorn.lifespan.off import LifespanOff

from ferjax.serving.bodies import Admission
from ferjax.serving.refusal import Refusal
from ferjax.serving.server import _Server
from tests.serving.conftest import LIMITS


def test_what_lasts_longer_than_the_grace_period_is_refused(caplog):
    caplog.set_level("INFO")
    admission = Admission(LIMITS)

    async def answer(seconds):
        try:
            async with admission.admit():
                await asyncio.sleep(seconds)
        except Refusal as refusal:
            return refusal.status
        return 200

    async def run():
        server = _Server(uvicorn.Config(None, lifespan="off", timeout_graceful_shutdown=30), admission, grace_s=0.3)
        server.lifespan = LifespanOff(server.config)
        tasks = [asyncio.ensure_future(answer(seconds)) for seconds in (0.1, 60, 60)]
        for task in tasks:
            server.server_state.tasks.add(task)
            task.add_done_callback(server.server_state.tasks.discard)
        server.servers = []
        await server.shutdown([])
        return await asyncio.gather(*tasks)

    assert asyncio.run(run()) == [200, 503, 503]
    lines = [record.getMessage() for record in caplog.records if record.name == "ferjax"]
    assert lines == ["Finishing what has been begun.", "Refused what was not done in time: 2 requests."]
