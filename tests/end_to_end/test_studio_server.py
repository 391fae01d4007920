"""The studio's server: who may use it, what it answers, and what it refuses."""

import io
import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette")

from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from cnnexplain.studio import access, app, messages
from cnnexplain.studio.requests import Studio

PORT = 8765
ORIGIN = f"http://127.0.0.1:{PORT}"
SOCKET = f"ws://127.0.0.1:{PORT}/socket"


@pytest.fixture
def studio(lenet):
    made = Studio(lenet, ["mnist:test/42", "mnist:test/0"])
    made.start()
    yield made
    made.worker.close()


@pytest.fixture
def allowed():
    return access.Access(PORT, "secret")


@pytest.fixture
def stranger(studio, allowed):
    """A browser that has not opened the address with the token."""
    return TestClient(app.application(studio, allowed), base_url=ORIGIN, follow_redirects=False)


@pytest.fixture
def page(stranger):
    answer = stranger.get("/?token=secret&input=abc")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?input=abc")
    assert {"HttpOnly", "SameSite=strict"} <= set(answer.headers["set-cookie"].split("; "))
    return stranger


@pytest.fixture
def ask(page):
    """Asks one question by a new connection, and returns the header and the bytes of the answer."""

    def asked(header, data=b""):
        with page.websocket_connect(SOCKET, headers={"origin": ORIGIN}) as socket:
            socket.send_bytes(messages.packed({"id": 7, **header}, [data]))
            return unpacked(socket.receive_bytes())

    return asked


def unpacked(answer):
    length = int.from_bytes(answer[:4], "little")
    return json.loads(answer[4 : 4 + length]), answer[4 + length :]


def test_only_pages_opened_with_the_token_are_answered(stranger):
    for path in ("/", "/model", "/pages/main.js", "/inputs/abc", "/see/conv1"):
        answer = stranger.get(path)
        assert answer.status_code == 403
        assert "Open the address that 'cnnexplain studio' printed" in answer.text
    assert stranger.get("/?token=guess").status_code == 403
    with pytest.raises(WebSocketDisconnect) as refused, stranger.websocket_connect(SOCKET, headers={"origin": ORIGIN}):
        pass
    assert refused.value.code == 1008


@pytest.mark.parametrize(
    "headers",
    [{"host": "example.org"}, {"host": f"example.org:{PORT}"}, {"host": "127.0.0.1:1"}, {"origin": "http://example.org"}],
)
def test_requests_by_other_sites_are_refused(page, headers):
    assert page.get("/model").status_code == 200
    assert page.get("/model", headers=headers).status_code == 403
    with pytest.raises(WebSocketDisconnect), page.websocket_connect(SOCKET, headers={"origin": ORIGIN, **headers}):
        pass
    with pytest.raises(WebSocketDisconnect), page.websocket_connect(SOCKET):
        pass


def test_a_token_redirects_to_no_other_site(stranger):
    assert stranger.get("/%2Fexample.org/?token=secret").headers["location"] == "/example.org/"


def test_pages_can_load_nothing_from_elsewhere(page):
    answer = page.get("/see/conv1")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert page.get("/pages/main.js").headers["content-type"].startswith("text/javascript")
    for name in ("nothing.js", "..%2faccess.py", "__init__.py"):
        assert page.get(f"/pages/{name}").status_code == 404


def test_the_model_with_its_layers(page):
    model = page.get("/model").json()
    assert model["input"] == {"shape": [28, 28, 1], "low": 0, "high": 1, "digits": True, "background": [0]}
    assert [layer["name"] for layer in model["layers"]][:3] == ["conv1", "relu1", "pool1"]
    assert model["layers"][1]["sources"] == ["conv1"]
    assert model["samples"] == ["42", "0"]


def test_the_maps_of_a_forward_pass(ask, page, lenet, random):
    pixels = random.integers(0, 256, (28, 28, 1), dtype=np.uint8)
    wanted = {"relu1": {"most": 5, "side": 24}, "pool1": {"most": 99, "side": 6}, "dense": {"most": 99, "side": 1}}
    answer, data = ask({"do": "see", "layers": wanted}, pixels.tobytes())
    image = pixels[None].astype(np.float32) / 255
    expected = lenet.activations(image, ["relu1", "pool1", "dense", "logits"])
    assert answer["id"] == 7
    np.testing.assert_allclose(answer["outputs"], lenet.predict(image)[0], atol=1e-6)
    np.testing.assert_allclose(np.frombuffer(data[:40], np.float32), expected["logits"][0], atol=1e-5)
    first, second, third = answer["layers"]
    assert (first["maps"], first["rows"], first["block"], second["rows"], second["block"]) == (30, 24, 1, 6, 2)
    maps = np.frombuffer(data[40 : 40 + 5 * 576], np.uint8).reshape(5, 24, 24)
    low, high = (np.array(first[name])[:, None, None] for name in ("low", "high"))
    np.testing.assert_allclose(
        low + maps / 255 * (high - low), expected["relu1"][0, ..., :5].transpose(2, 0, 1), atol=(high - low).max() / 500
    )
    means = expected["pool1"][0].reshape(6, 2, 6, 2, 30).mean(axis=(1, 3))
    np.testing.assert_allclose(second["high"], means.max(axis=(0, 1)), atol=1e-5)
    np.testing.assert_allclose(np.frombuffer(data[-4 * third["values"] :], np.float32), expected["dense"][0, :99], atol=1e-5)
    assert page.get(f"/inputs/{answer['input']}").headers["content-type"] == "image/png"
    again, _ = ask({"do": "see", "layers": {}, "input": answer["input"]})
    assert again["outputs"] == answer["outputs"]


@pytest.mark.parametrize(
    ("header", "data", "words"),
    [
        ({"do": "see", "layers": {}}, b"123", "An image has 3 bytes; expected 784"),
        ({"do": "see", "layers": {}, "input": "none"}, b"", "This input is no longer kept"),
        ({"do": "see", "layers": {"conv7": {"most": 1, "side": 1}}}, bytes(784), "The model has no layer 'conv7'"),
        (
            {"do": "see", "layers": {"conv1": {"most": 0, "side": 1}}},
            bytes(784),
            "expected positive integers 'most' and 'side'",
        ),
        ({"do": "see", "layers": {"conv1": 3}}, bytes(784), "expected positive integers"),
        ({"do": "see"}, bytes(784), "no object 'layers'"),
    ],
)
def test_a_question_without_an_answer_gets_an_error(ask, header, data, words):
    answer, _ = ask(header, data)
    assert words in answer["error"]


@pytest.mark.parametrize(
    "message",
    [b"", b"\x00\x00\x00\x80", b"\x05\x00\x00\x00{}", messages.packed({"id": 1, "do": "rm"}), messages.packed({"do": "see"}),
     b"\x02\x00\x00\x00[]", b"\x04\x00\x00\x00\xff\xff\xff\xff"],
)  # fmt: skip
def test_a_connection_with_an_invalid_message_is_closed_with_the_reason(page, message):
    with page.websocket_connect(SOCKET, headers={"origin": ORIGIN}) as socket:
        socket.send_bytes(message)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_bytes()
    assert closed.value.code == 1007
    assert "message" in closed.value.reason


def test_an_uploaded_image_is_prepared_like_a_file(page, lenet, monkeypatch):
    file = io.BytesIO()
    Image.fromarray(np.arange(40 * 40, dtype=np.uint16).reshape(40, 40).astype(np.uint8)).save(file, "png")
    answer = page.post("/inputs", content=file.getvalue())
    shown = Image.open(io.BytesIO(page.get(f"/inputs/{answer.json()['input']}").content))
    assert (shown.size, shown.mode) == ((28, 28), "L")
    answer = page.post("/inputs", content=b"no image")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("'image' is not an image that can be read")
    monkeypatch.setattr(app, "LARGEST_UPLOAD", 10)
    assert page.post("/inputs", content=file.getvalue()).status_code == 413


def test_samples_are_those_of_the_command(page):
    answer = page.get("/samples/1").json()
    assert page.get(f"/inputs/{answer['input']}").status_code == 200
    assert page.get("/samples/2").json() == {"error": "There is no sample 2; there are 2."}
