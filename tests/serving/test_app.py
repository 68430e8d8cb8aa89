"""The API: what it answers, and one sentence with a status for what it refuses."""

import base64
import json
import re
import zlib

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from ferjax.inference import list_columns
from ferjax.serving import create
from ferjax.serving.shield import HEADERS
from tests.inference.conftest import SquareFinder, draw
from tests.serving.conftest import LIMITS, encode


def test_a_picture_gets_the_rows_that_predict_gives(ask, network):
    image = draw((20, 30), (100, 10))
    status, answer = ask(encode(image), headers={"content-type": "application/x-www-form-urlencoded"})  # curl's
    (picture,) = answer["pictures"]
    assert status == 200
    assert (answer["contract"], answer["classes"]) == (1, list(network.classes))
    assert (picture["source"], picture["width"], picture["height"]) == ("0", 160, 90)
    expected = network.predict(image, detector=SquareFinder())
    assert [list(row) for row in picture["rows"]] == [list(list_columns(network.classes))] * 2
    for row, (_, wanted) in zip(picture["rows"], expected.iterrows(), strict=True):
        for name, value in row.items():
            if isinstance(value, float):
                assert value == pytest.approx(wanted[name], abs=1e-6)
            elif value is not None:
                assert value == wanted[name], name


def test_the_text_that_a_browser_makes_of_a_picture_is_read(ask, one_face):
    text = b"data:image/png;base64," + base64.b64encode(one_face)
    assert ask(text) == ask(one_face)
    status, answer = ask(b"data:image/png;base64,!")
    assert (status, answer["error"][:45]) == (415, "The upload is a data: address that is damaged")


def test_each_of_several_files_has_its_rows_in_order(ask, one_face, broad):
    files = [("a", ("C:\\x\\one.png", one_face)), ("a", ("none.png", broad)), ("b", ("../broken.png", one_face[:60]))]
    status, answer = ask(files=files)
    assert status == 200
    found = [(picture["source"], [row["status"] for row in picture["rows"]]) for picture in answer["pictures"]]
    assert [name for name, _ in found] == ["one.png", "none.png", "broken.png"]
    assert found[0][1][0] in ("ok", "unsure")
    assert [statuses for _, statuses in found[1:]] == [["no_face"], ["unreadable"]]
    assert "image" in answer["pictures"][2]["rows"][0]["reason"]
    assert answer["pictures"][2]["width"] is None


def test_crops_are_taken_whole_and_views_and_explanations_are_given(ask, network, one_face, monkeypatch):
    # What is computed there has its own tests, and takes long to compile.
    monkeypatch.setattr("ferjax.explain.explain", lambda *asked: np.full((1, 48, 48), asked[3][0], np.float32))
    status, answer = ask(one_face, "?detect=false&views=mirror&explain=grad_cam")
    (picture,) = answer["pictures"]
    (row,) = picture["rows"]
    assert status == 200
    assert [row[name] for name in ("x", "y", "width", "height", "detection")] == [0, 0, 160, 90, None]
    wanted = network(network.fit(draw((20, 30))), views="mirror")[0]
    np.testing.assert_allclose([row[f"p_{name}"] for name in network.classes], wanted, atol=1e-6)
    (shown,) = picture["explanations"]
    assert shown.startswith("data:image/png;base64,")


def test_a_network_that_cannot_be_explained_is_a_sentence(ask, one_face, monkeypatch):
    def explain(*_):
        raise ValueError("it has no feature map")

    monkeypatch.setattr("ferjax.explain.explain", explain)
    status, answer = ask(one_face, "?explain=grad_cam")
    assert (status, answer) == (422, {"error": "explain=grad_cam is not for this network: it has no feature map."})


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("?detect=maybe", "detect='maybe' is not one of true, false, 1, 0."),
        ("?detect=False", "detect='False'"),
        ("?detect=", "detect=''"),
        ("?views=all", "views='all' is not one of none, mirror"),
        ("?explain=integrated_gradients", "is not one of none, grad_cam"),
        ("?detekt=false", "did you mean detect?"),
        ("?foo=1", "There is no option 'foo'; there are detect, views, explain."),
        ("?detect=true&detect=false", "given twice"),
    ],
)
def test_wrong_options_are_refused(ask, one_face, query, word):
    status, answer = ask(one_face, query)
    assert (status, list(answer)) == (400, ["error"])
    assert word in answer["error"]


def test_a_refusal_does_not_repeat_pages_of_what_was_asked(ask, client, one_face):
    for query in (f"?{'x' * 5000}=1", f"?views={'x' * 5000}"):
        status, answer = ask(one_face, query)
        assert (status, len(answer["error"]) < 400) == (400, True)
    assert len(client.get(f"/{'x' * 5000}").json()["error"]) < 400


def test_a_refusal_names_the_files(ask, one_face):
    """Of several files one could not tell which of them was meant."""
    status, answer = ask(files=[("a", ("notes.txt", b"no picture"))])
    assert (status, answer["error"][:40]) == (415, "The upload notes.txt is not a picture; t")
    broken = [("b", (f"{number}.png", one_face[:60])) for number in range(3)]
    status, answer = ask(files=[("a", ("empty.png", b"")), *broken])
    assert status == 415
    assert answer["error"].startswith(
        "None of the 4 pictures can be read: empty.png is an empty file, not an image; 0.png"
    )
    assert answer["error"].endswith("; and 1 more.")


def _bomb():
    """A PNG of 5 kB that is 60,000 x 60,000 pixels."""
    head = np.array([60_000, 60_000], ">u4").tobytes() + bytes([8, 0, 0, 0, 0])
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(5_000_000))), (b"IEND", b"")]
    parts = [
        len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big") for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"hello", 415, "is not a picture; these are read: JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "not a picture"),
        (b"", 422, "no picture in the request"),
        (encode(np.zeros((300, 200), np.uint8)), 413, "more than 0.04 megapixels"),
        (_bomb(), 413, "more than 0.04 megapixels"),
        (
            encode(np.random.default_rng(0).integers(0, 255, (60, 60), np.uint8), "JPEG")[:-500],
            422,
            "not a readable image",
        ),
        (bytes(400_000), 413, "more than 0.3 MB"),
    ],
)
def test_what_is_no_picture_or_too_large_is_refused(ask, body, status, word):
    got, answer = ask(body)
    assert got == status, answer
    assert word in answer["error"]
    assert answer["error"].endswith(".")
    assert "\n" not in answer["error"]


def test_no_path_and_no_address_is_opened(client, ask, one_face, tmp_path):
    path = tmp_path / "face.png"
    path.write_bytes(one_face)
    for options in (
        {"data": {"source": str(path)}, "files": {"a": one_face}},
        {"json": {"url": path.as_uri()}},
        {"content": str(path).encode()},
        {"data": {"url": "http://127.0.0.1/face.png"}},
    ):
        response = client.post("/predict", **options)
        assert response.status_code in (415, 422), options
        assert list(response.json()) == ["error"]


def test_forms_that_cannot_be_read_are_refused(ask, one_face):
    form = {"content-type": "multipart/form-data; boundary=x"}
    assert ask(b"no form at all", headers=form)[0] == 400
    assert ask(b"", headers={"content-type": "multipart/form-data"})[0] == 400
    part = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a.png"\r\n\r\n' + one_face + b"\r\n"
    assert ask(part + part + b"--x--\r\n", headers=form)[0] == 200
    status, answer = ask(part + part[:-9], headers=form)  # the second picture would be lost without a word
    assert (status, answer["error"][:63]) == (400, "The form cannot be read (it ends before its last part does): se")
    status, answer = ask(files=[("a", ("a.png", one_face))] * 5)
    assert (status, answer["error"]) == (413, "The form has more than 4 files: send fewer at once.")


def test_whatever_fails_is_one_sentence(client, app, one_face, monkeypatch):
    def fail(*_):
        raise ValueError("a secret")

    monkeypatch.setattr("ferjax.serving.service.to_rows", fail)
    response = client.post("/predict", content=one_face)
    assert response.status_code == 500
    assert response.json() == {"error": "The server could not answer this; its log says why."}


def test_every_answer_has_the_headers_and_none_allows_other_sites(client, one_face):
    answers = [
        client.get("/"),
        client.get("/page/page.js"),
        client.get("/nothing"),
        client.get("/predict"),
        client.post("/predict", content=one_face, headers={"origin": "https://elsewhere.example"}),
        client.options("/predict", headers={"origin": "https://a.example", "access-control-request-method": "POST"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 404, 405, 200, 405]
    for answer in answers:
        assert {name: answer.headers[name] for name in HEADERS} == dict(HEADERS)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "traceback" not in answer.text.lower()


def test_only_its_own_names_are_answered_to(client):
    assert client.get("/health", headers={"host": "elsewhere.example"}).status_code == 421
    assert client.get("/health", headers={"host": "[::1]:8000"}).status_code == 200


def test_health_and_metrics(client, ask, one_face):
    assert client.get("/health").json()["status"] == "ok"
    ask(one_face)
    lines = client.get("/metrics").text.splitlines()
    counts = {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines) if name[0] != "#"}
    assert counts['ferjax_requests_total{route="/predict",status="200"}'] >= 1
    assert counts['ferjax_requests_total{route="other",status="404"}'] >= 0
    assert counts["ferjax_faces_total"] >= 1
    assert counts["ferjax_requests_in_progress"] == 0


def test_answers_are_as_the_description_says(client, ask, one_face, broad):
    description = client.get("/openapi.json").json()
    schemas = description["components"]["schemas"]
    _, answer = ask(files=[("a", ("a.png", one_face)), ("a", ("b.png", broad)), ("c", ("c", b"?"))])
    _check(answer, {"$ref": "#/components/schemas/Answer"}, schemas)
    _check(client.get("/health").json(), {"$ref": "#/components/schemas/Health"}, schemas)
    _check(ask(b"?")[1], {"$ref": "#/components/schemas/Refusal"}, schemas)
    names = [option["name"] for option in description["paths"]["/predict"]["post"]["parameters"]]
    assert names == ["detect", "views", "explain"]


def test_the_page_of_the_api_names_all_that_there_is_and_loads_nothing_from_elsewhere(client):
    answer = client.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    description = client.get("/openapi.json").json()
    predict = description["paths"]["/predict"]["post"]
    for text in (*description["paths"], *predict["responses"], *(one["name"] for one in predict["parameters"])):
        assert text in answer.text
    addresses = re.findall(r"(?:href|src)=[\"']([^\"']+)", answer.text)
    assert set(addresses) == {"openapi.json", "page/icon.svg", "page/page.css"}
    assert "<script" not in answer.text
    assert "style=" not in answer.text


_KINDS = {"string": str, "integer": int, "number": int | float, "null": type(None), "array": list, "object": dict}


def _check(value, schema, schemas):
    """Check a value as JSON Schema does, as far as the description goes."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if "const" in schema:
        assert value == schema["const"]
    if "enum" in schema:
        assert value in schema["enum"]
    kinds = schema.get("type", [])
    assert not kinds or any(isinstance(value, _KINDS[kind]) for kind in ([kinds] if isinstance(kinds, str) else kinds))
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema["required"]) <= set(value) <= set(schema["properties"])
        for name, part in value.items():
            _check(part, schema["properties"][name], schemas)
    if isinstance(value, list) and "items" in schema:
        for part in value:
            _check(part, schema["items"], schemas)


def test_numbers_are_json(client, broad):
    text = client.post("/predict", content=broad).text
    assert json.loads(text, parse_constant=pytest.fail)["pictures"][0]["rows"][0]["status"] == "no_face"


def test_photographs_are_turned_upright(ask):
    exif = Image.Exif()
    exif[0x0112] = 6
    _, answer = ask(encode(draw((20, 30)), "JPEG", exif=exif))
    assert (answer["pictures"][0]["width"], answer["pictures"][0]["height"]) == (90, 160)


def test_within_another_application_its_routes_are_known_and_it_starts_again(network, one_face):
    inner = create(network, limits=LIMITS, detector=SquareFinder())
    outer = Starlette(routes=[Mount("/faces", inner)], lifespan=lambda app: inner.router.lifespan_context(inner))
    for _ in range(2):
        with TestClient(outer) as client:
            assert client.post("/faces/predict", content=one_face).status_code == 200
            assert client.get("/faces/openapi.json").json()["servers"] == [{"url": "/faces"}]
            assert 'ferjax_requests_total{route="/predict",status="200"}' in client.get("/faces/metrics").text
    answer = TestClient(outer).post("/faces/predict", content=one_face)  # without its lifespan
    assert answer.status_code == 503
    assert "within another application, run this one's lifespan" in answer.json()["error"]
