"""The real engine, in its own process, on the model that ships: what it serves, how it refuses to start, how it ends."""

import http.client
import json
import math
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import openai
import pytest

from switchgear.backends.llama_engine import bundled_model

START_DEADLINE_S = 60.0
END_DEADLINE_S = 30.0
WINDOW = 2048
EMBEDDING_WIDTH = 192
COMMAND = "from switchgear.cli.engine import engine; engine()"

HELD_OUT = Path(__file__).parent / "data" / "held_out.txt"
# What PyTorch needs for that text with the weights before they were rounded to q8_0 (`block_bits` in tools/tiny_llama/measure.py).
# The largest difference that rounding made in any of 23 held-out blocks is 0.0042.
HELD_OUT_BITS_PER_BYTE = 1.6770
LARGEST_DIFFERENCE_BITS = 0.01

# Share of words of three letters and more that the reference knows, answers to `QUESTIONS` taken together: over 40 seeds at least 0.86,
# 0.93 on average; 0.65 for a model after a fifth of the training, 0.0006 for letters drawn at random.
LEAST_KNOWN_SHARE = 0.75
QUESTIONS = ("What is a dictionary?", 'Tell me about the "with" statement.', "Hello!", "How do I sort a list?")


class Engine:
    """A running engine: its process and where it listens."""

    def __init__(self, process: subprocess.Popen[str], base_url: str) -> None:
        self.process = process
        self.base_url = base_url
        self.client = openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=60)

    @property
    def authority(self) -> str:
        return self.base_url.split("/")[2]

    def call(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self.authority, timeout=60)
        try:
            if body is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        connection = http.client.HTTPConnection(self.authority, timeout=60)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        found = re.search(rf"^llamacpp:{name} (\S+)$", text, re.MULTILINE)
        assert found is not None
        return float(found[1])

    def post_without_reading(self, path: str, body: dict[str, Any]) -> socket.socket:
        host, port = self.authority.split(":")
        content = json.dumps(body).encode()
        connection = socket.create_connection((host, int(port)), timeout=60)
        head = f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content)
        return connection


def launch(*arguments: str, code: str = COMMAND) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, "llama", "--threads", "1", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(*arguments: str) -> Iterator[Engine]:
    """An engine that has said where it listens; killed at the end if it still runs."""
    with launch(*arguments) as process:
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], START_DEADLINE_S)[0], "the engine said nothing"
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found is not None, f"{line!r}: {process.communicate(timeout=END_DEADLINE_S)}"
            with (running_engine := Engine(process, found[0])).client:
                yield running_engine
        finally:
            process.kill()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running() as one:
        yield one


def until(condition: Callable[[], bool], deadline_s: float = END_DEADLINE_S) -> None:
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s, "the deadline has passed"
        time.sleep(0.01)


def known_share(text: str) -> float:
    """Share of the words of three letters and more that the language reference holds."""
    known = set(re.findall(r"[a-z]{3,}", " ".join(topics.values()).lower()))
    words = re.findall(r"[a-z]{3,}", text.lower())
    return sum(word in known for word in words) / max(1, len(words))


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


QUESTION = [{"role": "user", "content": "What is a dictionary?"}]
FIXED: dict[str, Any] = {
    "model": "pydoc-tiny",
    "temperature": 0,
    "extra_body": {"cache_prompt": False, "ignore_eos": True},
}


def test_health_and_models(engine: Engine) -> None:
    assert engine.call("/health") == (200, {"status": "ok"})
    assert [model.id for model in engine.client.models.list()] == ["pydoc-tiny"]


def test_every_byte_is_one_token(engine: Engine) -> None:
    text = "".join(map(chr, range(1, 0x180))) + "€\U0001f600 <|user|>"
    _, answer = engine.call("/tokenize", {"content": text, "parse_special": False})
    assert answer["tokens"] == list(text.encode())
    _, answer = engine.call("/detokenize", {"tokens": list(text.encode())})
    assert answer["content"] == text


def test_chat_counts_one_token_for_each_byte(engine: Engine) -> None:
    answer = engine.client.chat.completions.create(messages=QUESTION, max_tokens=60, **FIXED)
    text = answer.choices[0].message.content
    assert text is not None
    assert answer.model == "pydoc-tiny"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 60 == len(text.encode())
    # BOS, the user's marker, the question's bytes, the assistant's marker
    assert answer.usage.prompt_tokens == 3 + len(QUESTION[0]["content"])


def test_streamed_chat_is_the_unstreamed_one(engine: Engine) -> None:
    whole = engine.client.chat.completions.create(messages=QUESTION, max_tokens=60, **FIXED)
    chunks = list(
        engine.client.chat.completions.create(
            messages=QUESTION, max_tokens=60, stream=True, stream_options={"include_usage": True}, **FIXED
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


def test_completion_streamed_and_not(engine: Engine) -> None:
    whole = engine.client.completions.create(prompt='The "while" statement', max_tokens=40, **FIXED)
    chunks = engine.client.completions.create(prompt='The "while" statement', max_tokens=40, stream=True, **FIXED)
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == whole.choices[0].text
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 40


def test_responses_streamed_and_not(engine: Engine) -> None:
    whole = engine.client.responses.create(input="What is a module?", max_output_tokens=40, **FIXED)
    assert whole.status == "completed"
    assert whole.usage is not None
    assert whole.usage.output_tokens == 40 == len(whole.output_text.encode())
    events = list(engine.client.responses.create(input="What is a module?", max_output_tokens=40, stream=True, **FIXED))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text
    assert events[-1].type == "response.completed"


def test_embeddings_are_served_beside_text(engine: Engine) -> None:
    texts = ["the with statement", "the with statement", "string methods of bytes"]
    answer = engine.client.embeddings.create(model="pydoc-tiny", input=texts)
    same, again, other = (entry.embedding for entry in answer.data)
    assert [len(vector) for vector in (same, again, other)] == [EMBEDDING_WIDTH] * 3
    assert math.hypot(*same) == pytest.approx(1, abs=1e-4)
    assert dot(same, again) == pytest.approx(1, abs=1e-4)
    assert dot(same, other) < 0.99
    assert answer.usage.prompt_tokens == sum(1 + len(text) for text in texts)


def test_calls_run_side_by_side(engine: Engine) -> None:
    call = {"prompt": "a", "max_tokens": WINDOW - 8, "ignore_eos": True, "stream": True}
    with engine.post_without_reading("/v1/completions", call) as long_one:
        answer = engine.client.completions.create(prompt="b", max_tokens=4, **FIXED)
        assert len(answer.choices[0].text) == 4
        assert b"[DONE]" not in long_one.recv(1 << 22), "the long call should still run"
    until(lambda: engine.metric("requests_processing") == 0)


def test_a_call_that_is_too_long_is_refused_as_such(engine: Engine) -> None:
    call = {"messages": [{"role": "user", "content": "x" * 2 * WINDOW}]}
    for streamed in (False, True):
        status, body = engine.call("/v1/chat/completions", call | {"stream": streamed})
        assert status == 400
        assert body["error"]["type"] == "exceed_context_size_error"
        assert body["error"]["n_ctx"] == WINDOW


def test_a_trailing_assistant_message_is_continued(engine: Engine) -> None:
    begun = 'The "while" statement is used for repeated exec'
    messages = [*QUESTION, {"role": "assistant", "content": begun}]
    whole = engine.client.chat.completions.create(messages=messages, max_tokens=20, **FIXED)
    chunks = engine.client.chat.completions.create(messages=messages, max_tokens=20, stream=True, **FIXED)
    fresh = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert len(fresh.encode()) == 20
    assert whole.choices[0].message.content == begun + fresh


def test_a_stream_left_by_its_caller_frees_the_slot(engine: Engine) -> None:
    made = engine.metric("tokens_predicted_total")
    stream = engine.client.completions.create(prompt="abc", max_tokens=WINDOW - 8, stream=True, **FIXED)
    next(iter(stream))
    stream.close()
    until(lambda: engine.metric("requests_processing") == 0)
    assert engine.metric("tokens_predicted_total") - made < WINDOW - 8


def test_answers_look_like_their_text(engine: Engine) -> None:
    answers = [
        engine.client.chat.completions.create(
            model="pydoc-tiny", messages=[{"role": "user", "content": question}], max_tokens=300, seed=7
        )
        for question in QUESTIONS
    ]
    text = "\n".join(answer.choices[0].message.content or "" for answer in answers)
    assert len(text) > 300
    assert known_share(text) > LEAST_KNOWN_SHARE, text


def test_held_out_text_takes_the_bits_that_the_model_card_says(engine: Engine) -> None:
    """A grammar that allows one text only makes the engine report that text's log probabilities, taken before the grammar."""
    text = HELD_OUT.read_text(encoding="ascii")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    status, body = engine.call(
        "/v1/completions",
        {"prompt": "", "max_tokens": len(text), "grammar": f'root ::= "{escaped}"', "logprobs": 1, "temperature": 0},
    )
    assert status == 200
    assert body["choices"][0]["text"] == text
    logprobs = [entry["logprob"] for entry in body["choices"][0]["logprobs"]["content"]]
    assert len(logprobs) == len(text)
    bits_per_byte = -sum(logprobs) / len(logprobs) / math.log(2)
    assert bits_per_byte == pytest.approx(HELD_OUT_BITS_PER_BYTE, abs=LARGEST_DIFFERENCE_BITS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_while_it_generates(number: signal.Signals) -> None:
    with running("--parallel", "1") as one:
        call = {"prompt": "abc", "max_tokens": WINDOW - 8, "stream": True, "ignore_eos": True}
        with one.post_without_reading("/v1/completions", call) as connection:
            received = connection.recv(65536)
            assert b"200 OK" in received
            os.kill(one.process.pid, number)
            assert one.process.wait(END_DEADLINE_S) == 0
            while piece := receive_or_reset(connection):
                received += piece
        assert not received.endswith(b"\r\n0\r\n\r\n"), "a cut answer must not look whole"
        assert b"[DONE]" not in received


def receive_or_reset(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""


def test_a_crash_shows_as_an_exit_status() -> None:
    with running() as one:
        os.kill(one.process.pid, signal.SIGABRT)
        assert one.process.wait(END_DEADLINE_S) == -signal.SIGABRT


def test_ctrl_c_while_it_starts_ends_it_at_once() -> None:
    interrupted = "os.kill(os.getpid(), signal.SIGINT)"
    code = f"import os, signal; from switchgear.backends import llama_engine; llama_engine._start = lambda *_: {interrupted}; {COMMAND}"
    with launch(code=code) as process:
        out, error = process.communicate(timeout=START_DEADLINE_S)
    assert (process.returncode, out, error) == (-signal.SIGINT, "", "")


def refused(*arguments: str, code: str = COMMAND) -> str:
    """What an engine that cannot start says; it must end with a status of its own choice, not by a signal."""
    with launch(*arguments, code=code) as process:
        out, error = process.communicate(timeout=START_DEADLINE_S)
    assert process.returncode == 1, (process.returncode, out, error)
    assert "Traceback" not in error
    return error


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.gguf"
    assert f"cannot read the model {missing}: No such file" in refused("--model", str(missing))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(b"not a model at all")
    assert "is not a GGUF file; give the path of a GGUF file" in refused("--model", str(other))


@pytest.mark.parametrize("kept", [0.5, 0.001])
def test_a_cut_model_is_refused(tmp_path: Path, kept: float) -> None:
    content = bundled_model().read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(content[: int(len(content) * kept)])
    said = refused("--model", str(cut))
    assert f"llama.cpp cannot serve {cut}" in said
    assert "failed to load model" in said, "llama.cpp's own reason stands above ours"


def test_an_address_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert f"cannot listen on {address}: Address already in use" in refused("--listen", address)


def test_without_the_package_the_remedy_is_named() -> None:
    without = f"import sys; sys.modules['xllamacpp'] = None; {COMMAND}"
    assert "pip install 'switchgear[llama]'" in refused(code=without)


def test_a_unix_socket_is_refused_with_a_reason() -> None:
    with launch("--listen", "unix:/tmp/engine.sock") as process:
        _, error = process.communicate(timeout=START_DEADLINE_S)
    assert process.returncode == 2
    assert "host:port only" in error


def test_the_alias_names_the_model() -> None:
    with running("--alias", "small") as one:
        assert [model.id for model in one.client.models.list()] == ["small"]
        assert one.client.completions.create(model="small", prompt="a", max_tokens=1).model == "small"
