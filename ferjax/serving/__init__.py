"""The page and the API of `ferjax serve`; docs/serve.md is what they promise.

Starlette and uvicorn carry them: small, typed and well kept. FastAPI would add pydantic and documentation pages whose
assets come from elsewhere; its description of the API is written down here, in openapi.py.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

from ferjax.serving.limits import Limits

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from ferjax.inference.detectors import Detector
    from ferjax.network import Network

_USUAL = Limits()

__all__ = ["Limits", "create", "serve"]


def create(
    network: "Network",
    *,
    limits: Limits = _USUAL,
    detector: "str | Detector | None" = None,
    hosts: Collection[str] | None = None,
    wait_s: float = 0.04,
) -> "Starlette":
    """Make the ASGI application of a network, for any server of ASGI.

    `detector` is a name of ferjax.inference.detectors.DETECTORS, `hosts` are the names in a URL that it answers to
    (None for all), and `wait_s` is how long a face waits at most for those of other requests that are being answered,
    to share their batch. Raises UserError where no detector is installed.
    """
    from ferjax.serving.app import create_app
    from ferjax.serving.measures import Measures
    from ferjax.serving.service import Service

    measures = Measures()
    service = Service(network, limits=limits, measures=measures, detector=detector, wait_s=wait_s)
    return create_app(service, limits=limits, measures=measures, hosts=hosts)


def serve(
    network: "Network",
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits = _USUAL,
    detector: "str | Detector | None" = None,
    hosts: Collection[str] | None = None,
    wait_s: float = 0.04,
) -> None:
    """Answer on a page and to programs until a signal comes; see `create`.

    Raises UserError for a port that is taken.
    """
    from ferjax.serving.server import listen, run

    with listen(host, port) as opened:
        run(create(network, limits=limits, detector=detector, hosts=hosts, wait_s=wait_s), opened, limits)
