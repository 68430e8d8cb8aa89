"""The description of the API, OpenAPI 3.1."""

from typing import Any

from ferjax import __version__
from ferjax.inference import CONTRACT, list_columns
from ferjax.network import Network
from ferjax.serving.decoding import FORMATS
from ferjax.serving.limits import Limits
from ferjax.serving.wishes import EXPLAIN
from ferjax.views import VIEWS

_WHOLE = ("frame", "face", "x", "y", "width", "height", "track")
_TEXT = ("source", "label", "status", "reason", "smooth_label")
_STATUSES = ("ok", "unsure", "no_face", "unreadable")
_REFUSALS = {
    "400": "An option that there is not, or a form that cannot be read",
    "408": "The upload took too long",
    "413": "Too many bytes, files or pixels",
    "415": "No picture",
    "422": "A broken picture, or none",
    "503": "Too many requests at once; the header Retry-After says when to ask again",
}


def describe(network: Network, limits: Limits) -> dict[str, Any]:
    """Return the description for a network's classes and a server's limits."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ferjax",
            "version": __version__,
            "description": "Finds the faces of pictures and says which expression each has. No picture is stored.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/predict": {"post": _describe_predict(limits)},
            "/health": {"get": _describe_get("Say whether the server works", "application/json", "Health", "503")},
            "/metrics": {"get": _describe_get("Counters in Prometheus' text format", "text/plain", None)},
            "/openapi.json": {"get": _describe_get("This description", "application/json", None)},
            "/docs": {"get": _describe_get("This description, as a page", "text/html", None)},
        },
        "components": {"schemas": _describe_schemas(network)},
    }


def _describe_predict(limits: Limits) -> dict[str, Any]:
    picture = {"type": "string", "format": "binary"}
    types = [f"image/{name.lower()}" for name in FORMATS if name != "PPM"]
    form = {
        "type": "object",
        "additionalProperties": picture,
        "description": f"Up to {limits.files} files, under any names",
        "properties": {"files": {"type": "array", "items": picture}},
    }
    return {
        "operationId": "predict",
        "summary": "Find the faces of pictures, and say what they express",
        "description": (
            f"The body is one picture, or a form with several: up to {limits.body_bytes / 1e6:g} MB together, each up "
            f"to {limits.pixels / 1e6:g} megapixels. With a form, what cannot be read has a row of status unreadable, "
            "unless that is all of it."
        ),
        "parameters": [
            _describe_option("detect", {"type": "boolean", "default": True}, "false: each picture is one ready crop"),
            _describe_option("views", {"enum": list(VIEWS), "default": "none"}, "views of each face to average over"),
            _describe_option("explain", {"enum": list(EXPLAIN), "default": "none"}, "show where the network looked"),
        ],
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": form}, **{kind: {"schema": picture} for kind in types}},
        },
        "responses": {
            "200": _describe_answer("A row for each face", "application/json", "Answer"),
            **{code: _describe_answer(text, "application/json", "Refusal") for code, text in _REFUSALS.items()},
        },
    }


def _describe_option(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": text}


def _describe_get(summary: str, kind: str, schema: str | None, *others: str) -> dict[str, Any]:
    answers = {code: _describe_answer(summary, kind, schema) for code in ("200", *others)}
    return {"summary": summary, "responses": answers}


def _describe_answer(text: str, kind: str, schema: str | None) -> dict[str, Any]:
    shape = {} if schema is None else {"$ref": f"#/components/schemas/{schema}"}
    return {"description": text, "content": {kind: {"schema": shape}}}


def _describe_schemas(network: Network) -> dict[str, Any]:
    columns = list_columns(network.classes)
    row = {name: _describe_column(name, network.classes) for name in columns}
    picture = {
        "source": {"type": "string", "description": "the file's name, or its number"},
        "width": {"type": ["integer", "null"]},
        "height": {"type": ["integer", "null"]},
        "rows": {"type": "array", "items": {"$ref": "#/components/schemas/Row"}},
        "explanations": {
            "type": "array",
            "items": {"type": "string", "description": "a data: address of a PNG; one for each face"},
        },
    }
    answer = {
        "contract": {"const": CONTRACT},
        "classes": {"const": list(network.classes)},
        "unsure_below": {"type": "number"},
        "pictures": {"type": "array", "items": {"$ref": "#/components/schemas/Picture"}},
    }
    health = {"status": {"enum": ["ok", "stopped"]}, "version": {}, "network": {}, "classes": {}}
    return {
        "Row": _describe_object(row, columns),
        "Picture": _describe_object(picture, ("source", "width", "height", "rows")),
        "Answer": _describe_object(answer, tuple(answer)),
        "Health": _describe_object(health, tuple(health)),
        "Refusal": _describe_object({"error": {"type": "string", "description": "one sentence"}}, ("error",)),
    }


def _describe_object(properties: dict[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _describe_column(name: str, classes: tuple[str, ...]) -> dict[str, Any]:
    if name == "status":
        return {"enum": list(_STATUSES)}
    if name == "label":
        return {"enum": [*classes, None]}
    kind = "integer" if name in _WHOLE else "string" if name in _TEXT else "number"
    return {"type": [kind, "null"]}
