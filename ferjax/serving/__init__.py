"""The page and the API of `ferjax serve`; docs/serve.md is what they promise.

Starlette and uvicorn carry them: small, typed and well kept. FastAPI would add pydantic and its documentation pages,
which come from another server; what it describes by itself is written down here in openapi.py.
"""

from ferjax.serving.limits import Limits

__all__ = ["Limits"]
