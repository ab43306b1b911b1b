"""The application, asked without a network: answers, refusals, counts, documentation."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from cifarlab.data.views import describe_views
from cifarlab.serve import Limits, create_app
from cifarlab.serve.front import CONTENT_SECURITY_POLICY, SECURITY_HEADERS
from cifarlab.serve.service import Service
from tint_server import CLASSES, tint

LIMITS = Limits(
    request_images=4, explained_images=1, body_bytes=20_000, queue_images=8, batch_images=4
)


def png(colour: tuple[int, int, int], size: tuple[int, int] = (24, 20)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


RED, GREEN, BLUE = png((250, 9, 9)), png((9, 250, 9)), png((9, 9, 250))


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(create_app(tint(), LIMITS, name="tint")) as client:
        yield client


def service(client: TestClient) -> Service:
    return client.app.state.service  # type: ignore[attr-defined]


def ask(client: TestClient, *files: tuple[str, bytes], query: str = "") -> Any:
    return client.post(f"/v1/predict{query}", files=[("images", file) for file in files])


def pixels(data_url: str) -> np.ndarray:
    head, _, content = data_url.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def tensor(images: np.ndarray, **changes: Any) -> dict[str, Any]:
    whole = {"name": "images", "datatype": "UINT8", "shape": list(images.shape)}
    return {"inputs": [{**whole, "data": images.ravel().tolist(), **changes}]}


def infer(client: TestClient, request: Any) -> Any:
    return client.post("/v2/models/tint/infer", json=request)


VIEWS = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)


def test_answers_are_the_predictors_in_the_order_of_the_form(client: TestClient) -> None:
    response = ask(client, ("r.png", RED), ("notes.txt", b"no picture"), ("b.png", BLUE))
    assert response.status_code == 200
    red, text, blue = response.json()["predictions"]
    expected = tint()(RED).to_json()
    assert red.pop("file") == "r.png"
    assert red == {name: value for name, value in expected.items() if name != "file"}
    assert (text["file"], text["label"]) == ("notes.txt", None)
    assert text["error"].startswith("cannot read notes.txt: it is not a JPEG")
    assert (blue["label"], blue["known"], blue["error"]) == ("blue", True, None)
    assert response.json()["model"]["name"] == "tint"


def test_where_nothing_is_readable_the_status_says_so(client: TestClient) -> None:
    response = ask(client, ("e.png", b""), ("a.txt", b"text"))
    assert response.status_code == 422
    answer = response.json()
    assert [each["file"] for each in answer["predictions"]] == ["e.png", "a.txt"]
    assert "it is empty" in answer["error"]
    assert answer["error"] == answer["predictions"][0]["error"]


def test_the_view_is_what_the_model_saw(client: TestClient) -> None:
    [answer] = ask(client, ("r.png", RED), query="?view=true").json()["predictions"]
    [view], [scaling] = answer["view"], answer["scaling"]
    np.testing.assert_array_equal(pixels(view), tint().model_view(RED))
    assert scaling == describe_views((20, 24), 16, "crop")[0]
    assert "explanation" not in answer


def test_the_views_of_a_photograph_are_averaged() -> None:
    wide = png((200, 30, 60), (90, 40))
    predictor = replace(tint(), fit="photo")
    with TestClient(create_app(predictor, LIMITS)) as client:
        wide_answer, red = ask(client, ("w", wide), ("r", RED), query="?view=true").json()[
            "predictions"
        ]
    assert len(wide_answer["view"]) == len(wide_answer["scaling"]) == 4
    assert wide_answer["probabilities"] == pytest.approx(predictor(wide).probabilities)
    assert red["probabilities"] == pytest.approx(predictor(RED).probabilities)


def test_the_explanation_glows_where_the_model_looks(client: TestClient) -> None:
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:8, :8, 0] = 255
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    [answer] = ask(client, ("r.png", buffer.getvalue()), query="?explain=true").json()[
        "predictions"
    ]
    drawn = pixels(answer["explanation"]).astype(int)
    orange = drawn[..., 0] - drawn[..., 2]
    assert orange[64, 64] > 100
    assert abs(orange[-1, -1]) < 20
    assert ask(client, ("1", RED), ("2", RED), query="?explain=true").status_code == 413


@pytest.mark.parametrize(
    ("status", "words", "request_"),
    [
        (415, "multipart/form-data", {"json": {}}),
        (415, "multipart/form-data", {"content": RED, "headers": {"content-type": "image/png"}}),
        (415, "as UTF-8", {"boundary": "b; charset=undefined", "content": b"--b--\r\n"}),
        (422, "no file in 'images'", {"files": {"other": RED}}),
        (422, "no file in 'images'", {"data": {"images": "text"}, "files": {"other": RED}}),
        (413, "4 pictures; it holds 5", {"files": [("images", RED)] * 5}),
        (413, "Too many files", {"files": [("images", RED)] * 6}),
        (413, "larger than 20 KiB", {"files": {"images": b"x" * 20_000}}),
        (400, "form cannot be read", {"boundary": "", "content": b"--b\r\n"}),
        (400, "before its last boundary", {"boundary": "b", "content": b"--b\r\n"}),
        (422, "query view", {"params": {"view": "perhaps"}, "files": {"images": RED}}),
    ],
)
def test_a_wrong_request_gets_one_line(
    client: TestClient, status: int, words: str, request_: dict
) -> None:
    if (boundary := request_.pop("boundary", None)) is not None:
        request_["headers"] = {"content-type": f"multipart/form-data; boundary={boundary}"}
    response = client.post("/v1/predict", **request_)
    assert (response.status_code, list(response.json())) == (status, ["error"])
    assert words in response.json()["error"]
    assert service(client).memory.taken == service(client).uploads.taken == 0


def test_a_body_of_no_declared_size_is_counted_as_it_comes(client: TestClient) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
    pieces = iter([head, *[b"x" * 1000] * 30])
    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert client.post("/v1/predict", content=pieces, headers=headers).status_code == 413


@pytest.mark.parametrize("path", ["/v1/predict", "/v2/models/tint/infer"])
@pytest.mark.parametrize("places", ["queue", "memory"])
def test_a_full_server_refuses_before_it_reads(client: TestClient, path: str, places: str) -> None:
    full = getattr(service(client), places)
    full.taken = full.total
    sent = []

    async def receive() -> dict[str, Any]:
        pytest.fail("the body was asked for")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"multipart/form-data; boundary=b"), (b"host", b"a")]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode()}
    scope |= {"headers": headers, "query_string": b"", "root_path": "", "scheme": "http"}
    asyncio.run(client.app(scope, receive, send))
    assert "route" not in scope, "it was routed first"
    assert sent[0]["status"] == 503
    assert {(b"retry-after", b"1"), *SECURITY_HEADERS} <= set(sent[0]["headers"])
    assert "try again" in json.loads(sent[1]["body"])["error"]
    metrics, route = client.get("/metrics").text, path.replace("tint", "{name}")
    assert f'cifarlab_rejected_total{{reason="{places}"}} 1.0' in metrics
    assert f'cifarlab_requests_total{{route="{route}",status="503"}} 1.0' in metrics
    assert f'cifarlab_request_seconds_count{{route="{route}"}} 1.0' in metrics
    assert client.get(path).status_code == 405, "only what needs room is refused"


def test_a_request_for_more_places_than_are_free_is_refused_whole(client: TestClient) -> None:
    service(client).queue.taken = LIMITS.queue_images - 1
    assert ask(client, ("1", RED), ("2", RED)).status_code == 503
    assert ask(client, ("1", RED)).status_code == 200
    assert service(client).queue.taken == LIMITS.queue_images - 1


def test_an_answer_that_would_come_too_late_is_not_computed() -> None:
    limits = Limits(deadline_seconds=0.05, batch_images=1, decoders=1)
    with TestClient(create_app(tint(slow_ms=40), limits)) as client:
        response = ask(client, *[("a.png", RED)] * 8)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


def test_tensors_get_the_logits_and_the_calibrated_probabilities(client: TestClient) -> None:
    answer = infer(client, tensor(VIEWS) | {"id": "42"}).json()
    assert (answer["model_name"], answer["id"]) == ("tint", "42")
    probabilities, logits = answer["outputs"]
    assert (logits["name"], logits["datatype"], logits["shape"]) == ("logits", "FP32", [2, 3])
    np.testing.assert_allclose(np.reshape(logits["data"], (2, 3)), tint().logits(VIEWS), rtol=1e-6)
    expected = [list(tint()(view).probabilities.values()) for view in VIEWS]  # type: ignore[union-attr]
    np.testing.assert_allclose(np.reshape(probabilities["data"], (2, 3)), expected, rtol=1e-5)
    assert "id" not in infer(client, tensor(VIEWS) | {"id": None}).json()
    nested = tensor(VIEWS, data=VIEWS.tolist()) | {"outputs": [{"name": "logits"}]}
    assert infer(client, nested).json()["outputs"] == [logits]


@pytest.mark.parametrize(
    ("status", "words", "request_"),
    [
        (400, "an object", []),
        (400, "its id", tensor(VIEWS) | {"id": 7}),
        (400, "one tensor", {"inputs": []}),
        (400, "outputs may be", tensor(VIEWS) | {"outputs": [{"name": "labels"}]}),
        (400, "'images' of datatype 'UINT8'", tensor(VIEWS, datatype="FP32")),
        (400, "shape must be", tensor(VIEWS, shape=[2, 768])),
        (400, "shape must be", tensor(VIEWS, shape=[True, 16, 16, 3])),
        (400, "ragged", tensor(VIEWS, data=[[1, 2], [3]])),
        (400, "whole numbers", tensor(VIEWS, data=[256] * VIEWS.size)),
        (400, "whole numbers", tensor(VIEWS, data=[0.5] * VIEWS.size)),
        (400, "whole numbers", tensor(VIEWS, data=[True] * VIEWS.size)),
        (400, "whole numbers", tensor(VIEWS, data=None)),
        (400, "flat or of the shape", tensor(VIEWS, data=[1, 2, 3])),
        (413, "4 images; it holds 5", tensor(np.concatenate([VIEWS, VIEWS, VIEWS[:1]]))),
    ],
)
def test_a_wrong_tensor_gets_one_line(
    client: TestClient, status: int, words: str, request_: Any
) -> None:
    response = infer(client, request_)
    assert (response.status_code, list(response.json())) == (status, ["error"])
    assert words in response.json()["error"]


def test_an_id_comes_back_as_it_was_even_if_it_is_no_text(client: TestClient) -> None:
    content, headers = (
        json.dumps(tensor(VIEWS) | {"id": "é\ud83d"}),
        {"content-type": "application/json"},
    )
    answer = client.post("/v2/models/tint/infer", content=content, headers=headers)
    assert answer.json()["id"] == "é\ud83d"


def test_bodies_that_are_no_json(client: TestClient) -> None:
    path, headers = "/v2/models/tint/infer", {"content-type": "application/json"}
    for content in (b"{", b"\xff", b"[" * 100_000):
        assert client.post(path, content=content, headers=headers).status_code in (400, 413)
    assert client.post(path, content=b"{}").status_code == 415
    assert client.post("/v2/models/other/infer", json={}).status_code == 404


def test_what_the_protocol_tells_of_server_and_model(client: TestClient) -> None:
    assert client.get("/v2").json()["name"] == "cifarlab"
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/tint/ready").json() == {"name": "tint", "ready": True}
    model = client.get("/v2/models/tint").json()
    assert model["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 16, 16, 3]}]
    assert [each["shape"] for each in model["outputs"]] == [[-1, 3], [-1, 3]]
    card = client.get("/v1/model").json()
    assert (card["class_names"], card["limits"]["images"]) == (list(CLASSES), 4)
    service(client).ready = False
    for path in ("/v2/health/ready", "/v2/models/tint/ready"):
        assert client.get(path).status_code == 503
    assert client.get("/v2/health/live").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 200), ("GET", "/docs", 200), ("GET", "/nothing", 404), ("PUT", "/v2", 405)],
)
def test_every_answer_has_the_policy(
    client: TestClient, method: str, path: str, status: int
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert response.headers.get_list("x-content-type-options") == ["nosniff"]
    assert response.headers.get_list("content-security-policy") == [CONTENT_SECURITY_POLICY]
    assert status == 200 or path in response.json()["error"]


def test_a_mistake_of_ours_is_told_without_its_traceback(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service(client).batcher, "_compute", lambda views: 1 / 0)
    response = ask(client, ("r.png", RED))
    assert response.status_code == 500
    assert "x-content-type-options" in response.headers
    assert list(response.json()) == ["error"]
    assert "ZeroDivision" not in response.text
    assert "ZeroDivision" in caplog.text


def test_metrics_count_what_was_answered(client: TestClient) -> None:
    ask(client, ("r.png", RED), ("a.txt", b"text"))
    ask(client, ("a.txt", b"text"))
    infer(client, tensor(VIEWS))
    client.get("/made/up/by/a/client")
    text = client.get("/metrics").text
    for line in (
        'cifarlab_requests_total{route="/v1/predict",status="200"} 1.0',
        'cifarlab_requests_total{route="/v1/predict",status="422"} 1.0',
        'cifarlab_requests_total{route="/v2/models/{name}/infer",status="200"} 1.0',
        'cifarlab_requests_total{route="other",status="404"} 1.0',
        'cifarlab_images_total{outcome="predicted"} 3.0',
        'cifarlab_images_total{outcome="unreadable"} 2.0',
        "cifarlab_batch_images_sum 3.0",
        "cifarlab_queue_images 0.0",
        'cifarlab_request_seconds_count{route="/v1/predict"} 2.0',
    ):
        assert line in text


def test_the_documentation_names_every_route_and_no_other_server(client: TestClient) -> None:
    page, document = client.get("/docs").text, client.get("/openapi.json").json()
    assert len(document["paths"]) >= 9
    for path in document["paths"]:
        assert path in page
    assert "<script" not in page
    assert " style=" not in page
    assert set(re.findall(r"https?://[^/\s<]+", page)) == {"http://testserver"}
    assert client.get("/docs.css").headers["content-type"].startswith("text/css")
