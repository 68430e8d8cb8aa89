"""The application on a tiny network and a detector of bright squares, and pictures of these."""

import io

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from ferjax.serving import Limits, create
from tests.inference.conftest import SquareFinder, draw

LIMITS = Limits(body_bytes=300_000, files=4, pixels=40_000, upload_s=0.3, requests=3, waiting_bytes=500_000)


def encode(image, kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="session")
def one_face():
    return encode(draw((20, 30)))


@pytest.fixture(scope="session")
def app(network):
    return create(network, limits=LIMITS, detector=SquareFinder(), hosts=["testserver", "::1"])


@pytest.fixture(scope="session")
def client(app):
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def ask(client):
    """Send a body or files; give the status and the answer, whose headers were looked at."""

    def ask(body=None, query="", files=None, **options):
        response = client.post(f"/predict{query}", content=body, files=files, **options)
        assert response.headers["content-type"] == "application/json"
        return response.status_code, response.json()

    return ask


@pytest.fixture(scope="session")
def broad():
    """A picture without any face."""
    return encode(np.zeros((50, 60), np.uint8))
