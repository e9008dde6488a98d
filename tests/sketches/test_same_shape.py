"""A sketch is a request like its original: as long, of the same structure, and one that a backend takes."""

import json
import random
from typing import Any

import pytest
from tests.sketches.calls import body_of, detectors, labelled, rich, sketched
from tests.wire.serving import Caller

from switchgear.emulator.server import Emulator
from switchgear.sketches.images import expand
from switchgear.sketches.structure import expanded
from switchgear.wire.address import parse_address


def shape(value: Any) -> Any:
    """A value without its texts and numbers: how it is nested."""
    if isinstance(value, dict):
        return [shape(below) for below in value.values()]
    if isinstance(value, list):
        return [shape(below) for below in value]
    return type(value).__name__


def chat(text: str) -> dict[str, Any]:
    return {"model": "chat", "messages": [{"role": "user", "content": text}]}


def test_structure_roles_and_parameters_stay() -> None:
    body = rich("Please refund order 48213 for Jane.")
    sketch = body_of(sketched(body))
    assert shape(sketch) == shape(body)
    assert [one["role"] for one in sketch["messages"]] == [one["role"] for one in body["messages"]]
    assert (sketch["model"], sketch["temperature"], sketch["max_tokens"]) == ("chat", 0.7, 16)


def test_what_hangs_together_still_does() -> None:
    sketch = body_of(sketched(rich("Please refund.")))
    called = sketch["messages"][2]["tool_calls"][0]
    function = sketch["tools"][0]["function"]
    assert called["function"]["name"] == function["name"] != "refund_parcel"
    assert called["id"] == sketch["messages"][3]["tool_call_id"] != "call_Zanzibar77"
    schema = function["parameters"]
    assert schema["required"][0] in schema["properties"]
    assert set(json.loads(called["function"]["arguments"])) <= set(schema["properties"]) | set(
        json.loads(called["function"]["arguments"])
    )
    assert next(iter(json.loads(called["function"]["arguments"]))) == schema["required"][0]
    reference = next(one["$ref"] for one in schema["properties"].values() if "$ref" in one)
    assert reference.removeprefix("#/$defs/") in schema["$defs"]


@pytest.mark.parametrize(
    "text",
    [
        "Tell me about the rivers of Bavaria, and why the Danube is the longest of them. It has 30 tributaries!",
        "Warum ist der Himmel über München am Abend so rot, und wann wird er wieder blau?",
        "Почему небо над Москвой вечером такое красное?",
        "なぜ夕方の空は赤いのですか。東京では特にそうです。",
        "لماذا تكون السماء حمراء في المساء؟",
        "def total(orders):\n    return sum(order.price * 1.19 for order in orders if order.paid)\n",
    ],
)
def test_a_text_stays_as_long(text: str) -> None:
    made = body_of(sketched(chat(text)))["messages"][0]["content"]
    assert abs(len(made.encode()) - len(text.encode())) <= 0.1 * len(text.encode())
    assert len(made.split()) == len(text.split())
    assert made != text


def test_labelled_texts_stay_as_long() -> None:
    for sample in labelled()[::7]:
        made = body_of(sketched(chat(sample.text)))["messages"][0]["content"]
        assert abs(len(made.encode()) - len(sample.text.encode())) <= max(0.1 * len(sample.text.encode()), 8), sample


def test_a_finding_becomes_one_of_the_same_type() -> None:
    replaced, unproven = 0, 0
    for sample in labelled()[::3]:
        sketch = sketched(chat(sample.text))
        types = {found.type for found in detectors().find(body_of(sketch)["messages"][0]["content"])}
        replaced += len(sketch.findings)
        unproven += sketch.unproven
        assert sketch.unproven or set(sketch.findings) <= types, (sample.text, body_of(sketch))
    assert replaced > 300
    assert unproven < 0.05 * replaced


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the capital of France, and why is it there?", "en"),
        ("Wie ist das Wetter in Kiel, und wann wird es wieder warm?", "de"),
        ("Quelle est la capitale de la France et pourquoi?", "fr"),
        ("Почему небо красное?", "Cyrillic"),
        ("なぜ空は赤いのですか", "Hiragana"),
    ],
)
def test_the_language_is_told_and_kept(text: str, language: str) -> None:
    sketch = sketched(chat(text))
    assert sketch.languages[0] == language
    again = sketched(chat(body_of(sketch)["messages"][0]["content"]))
    assert again.languages[0] == language


def test_an_image_is_described_and_sent_as_noise_of_its_size() -> None:
    sketch = body_of(sketched(rich("Look at this.")))
    described = sketch["messages"][1]["content"][1]["image_url"]["url"]
    assert described.startswith("sketch:image;png;640x480;")
    url = expand(described, random.Random(1))
    assert url.startswith("data:image/png;base64,iVBORw0KGgo")
    assert expand("no description", random.Random(1)) == "no description"


def test_tokens_stay_tokens() -> None:
    body = {"model": "embed", "input": [[101, 2054, 29871], [102]]}
    sketch = body_of(sketched(body, endpoint="embeddings"))
    assert [len(one) for one in sketch["input"]] == [3, 1]
    assert sketch["input"] != body["input"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", {**rich("Charge 4111 1111 1111 1111 for Jane."), "vendor_extension": None}),
        (
            "chat/completions",
            {**chat("Tell me about rivers."), "stream": True, "stream_options": {"include_usage": True}},
        ),
        ("completions", {"model": "chat", "prompt": ["Once upon a time", "There was"], "max_tokens": 4}),
        ("embeddings", {"model": "chat", "input": ["A text about rivers", "Another"], "encoding_format": "float"}),
        (
            "responses",
            {
                "model": "chat",
                "instructions": "Be brief.",
                "input": [{"role": "user", "content": [{"type": "input_text", "text": "Tell me about rivers."}]}],
                "max_output_tokens": 16,
            },
        ),
    ],
)
async def test_a_backend_takes_a_sketch(path: str, body: dict[str, Any]) -> None:
    place = Emulator(profile="h100-sxm", models=["llama-3.1-8b"], name="a", speed=1000.0)
    await place.start()
    try:
        sketch = expanded(body_of(sketched(body, endpoint=path)), random.Random(1)) | {"model": "llama-3.1-8b"}
        data = json.dumps(sketch).encode()
        address = parse_address(place.base_url.removeprefix("http://").partition("/")[0])
        async with Caller(address) as caller:
            head = (
                f"POST /v1/{path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {len(data)}"
            )
            await caller.send(head.encode() + b"\r\n\r\n" + data)
            answer = await caller.answer()
        assert answer.status == 200, answer.body
    finally:
        await place.close()
