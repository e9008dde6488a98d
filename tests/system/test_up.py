"""`switchgear up`: one command, five places, and the official client against all of them without special settings."""

import asyncio
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.system.program import Program, command_line, descendants, is_running, until

PLACES = {
    "appliance": "llama-3.1-8b",
    "onprem": "llama-3.1-8b",
    "cloud": "gpt-x",
    "edge": "llama-3.2-1b",
    "engine": "pydoc-tiny",
}
QUESTION = "What does the with statement do?"
MESSAGES: list[Any] = [{"role": "user", "content": QUESTION}]
SAME = {"temperature": 0.0, "seed": 1}
"""The engine really draws its tokens; so it draws the same ones again."""


class Up:
    """A running `switchgear up` and what it printed."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.folder = folder
        self.program = Program(folder, "up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *more)

    async def serving(self) -> "Up":
        await self.program.says("Ctrl-C ends all of it")
        self.endpoint = self._printed(r"^endpoint +(\S+)$")
        self.key = self._printed(r"^key +(\S+)$")
        return self

    def _printed(self, pattern: str) -> str:
        found = re.search(pattern, self.program.output, re.MULTILINE)
        assert found, f"{pattern} in {self.program.output}"
        return found[1]

    def pid_of(self, part: str) -> int | None:
        """The child whose command line has that part."""
        found = [pid for pid in descendants(self.program.pid) if part in command_line(pid)]
        return found[0] if found else None


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = Up(tmp_path_factory.mktemp("up"), "--speed", "50")
    try:
        with ThreadPoolExecutor(1) as thread:  # one for all tests, whatever loops they run on
            thread.submit(asyncio.run, running.serving()).result()
        yield running
    finally:
        running.program.kill()


def test_the_screen_is_clean(up: Up) -> None:
    assert up.program.errors == ""
    assert "INFO" not in up.program.output


def test_the_snippet_that_it_prints_works(up: Up) -> None:
    start = up.program.output.index("from openai import OpenAI")
    snippet = up.program.output[start : up.program.output.index("\n\n", start)]
    ran = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.split()) > 3


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_line_that_it_prints_works(up: Up) -> None:
    start = up.program.output.index("curl ")
    line = up.program.output[start : up.program.output.index("\n\n", start)]
    ran = subprocess.run(
        [*shlex.split(line.replace("\\\n", " ")), "--silent", "--fail"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert '"chat.completion"' in ran.stdout


@pytest.mark.parametrize("place", PLACES)
async def test_the_asynchronous_client_calls_every_endpoint(up: Up, place: str) -> None:
    async with openai.AsyncOpenAI(base_url=up.endpoint, api_key=up.key) as client:
        model = f"chat@{place}"
        chat = await client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=20, **SAME)
        assert chat.model == PLACES[place]
        assert chat.choices[0].message.content
        text, usage = "", None
        async for chunk in await client.chat.completions.create(
            model=model,
            messages=MESSAGES,
            max_tokens=20,
            stream=True,
            stream_options={"include_usage": True},
            **SAME,
        ):
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
            usage = chunk.usage or usage
        assert text == chat.choices[0].message.content
        assert usage is not None
        assert counts(usage) == counts(chat.usage)

        whole = await client.completions.create(model=model, prompt=QUESTION, max_tokens=20, **SAME)
        parts = [
            chunk.choices[0].text
            async for chunk in await client.completions.create(
                model=model, prompt=QUESTION, max_tokens=20, stream=True, **SAME
            )
            if chunk.choices
        ]
        assert "".join(parts) == whole.choices[0].text != ""

        embedded = await client.embeddings.create(model=model, input=[QUESTION, "something else"])
        first, second = (one.embedding for one in embedded.data)
        assert len(first) == len(second) > 1
        assert first != second

        response = await client.responses.create(
            model=model, input=QUESTION, max_output_tokens=20, temperature=SAME["temperature"]
        )
        assert response.output_text
        kinds = [
            event.type
            async for event in await client.responses.create(
                model=model, input=QUESTION, max_output_tokens=20, stream=True
            )
        ]
        assert kinds[0] == "response.created"
        assert "response.output_text.delta" in kinds
        assert kinds[-1] in ("response.completed", "response.incomplete")


@pytest.mark.parametrize("place", PLACES)
def test_the_synchronous_client_calls_every_endpoint(up: Up, place: str) -> None:
    with openai.OpenAI(base_url=up.endpoint, api_key=up.key) as client:
        model = f"chat@{place}"
        chat = client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=20, **SAME)
        pieces = [
            choice.delta.content or ""
            for chunk in client.chat.completions.create(
                model=model, messages=MESSAGES, max_tokens=20, stream=True, **SAME
            )
            for choice in chunk.choices
        ]
        assert "".join(pieces) == chat.choices[0].message.content != ""

        whole = client.completions.create(model=model, prompt=QUESTION, max_tokens=20, **SAME)
        streamed = client.completions.create(model=model, prompt=QUESTION, max_tokens=20, stream=True, **SAME)
        assert "".join(chunk.choices[0].text for chunk in streamed if chunk.choices) == whole.choices[0].text != ""

        assert len(client.embeddings.create(model=model, input=QUESTION).data[0].embedding) > 1

        assert client.responses.create(model=model, input=QUESTION, max_output_tokens=20).output_text
        events = list(client.responses.create(model=model, input=QUESTION, max_output_tokens=20, stream=True))
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        last = events[-1]
        assert last.type in ("response.completed", "response.incomplete")
        assert text == last.response.output_text != ""


def counts(usage: Any) -> tuple[int, int]:
    return usage.prompt_tokens, usage.completion_tokens


async def test_models_and_a_model_that_is_none(up: Up) -> None:
    async with openai.AsyncOpenAI(base_url=up.endpoint, api_key=up.key) as client:
        listed = {model.id async for model in client.models.list()}
        assert listed == {"chat", "cheap", "fast", *PLACES.values()}
        assert (await client.models.retrieve("chat")).id == "chat"
        with pytest.raises(openai.NotFoundError, match="chatt"):
            await client.chat.completions.create(model="chatt", messages=MESSAGES)
    with (
        openai.OpenAI(base_url=up.endpoint, api_key="sk-another") as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_a_call_can_be_explained_afterwards(up: Up) -> None:
    with openai.OpenAI(base_url=up.endpoint, api_key=up.key) as client:
        raw = client.chat.completions.with_raw_response.create(model="chat", messages=MESSAGES, max_tokens=5)
    call = raw.headers["x-switchgear-call"]
    explained = subprocess.run(
        [sys.executable, "-m", "switchgear", "explain", call],
        cwd=up.folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert explained.returncode == 0, explained.stderr
    assert "The caller got a whole answer from appliance" in explained.stdout


async def test_the_engine_comes_back_when_it_is_killed(up: Up) -> None:
    victim = up.pid_of("engine llama")
    assert victim is not None
    async with openai.AsyncOpenAI(base_url=up.endpoint, api_key=up.key, max_retries=0) as client:
        os.kill(victim, signal.SIGKILL)
        await until(lambda: not is_running(victim), "the engine is dead")
        other = await client.chat.completions.create(model="chat", messages=MESSAGES, max_tokens=5)
        assert other.choices[0].message.content
        async with asyncio.timeout(30):
            while True:
                try:
                    again = await client.chat.completions.create(model="chat@engine", messages=MESSAGES, max_tokens=5)
                    break
                except openai.InternalServerError:  # 502 or 503: a clear error, never a hang or a cut answer
                    await asyncio.sleep(0.1)
    assert again.choices[0].message.content
    assert up.pid_of("engine llama") not in (None, victim)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
async def test_a_signal_ends_all_of_it_after_the_answers_in_flight(
    up: Up, tmp_path: Path, number: signal.Signals
) -> None:
    other = Up(tmp_path, "--speed", "0.3")
    try:
        await other.serving()
        at = r"http://127\.0\.0\.1:\d+/v1"
        mine, yours = (set(re.findall(at, running.program.output)) for running in (other, up))
        assert not mine & yours, "two at a time took the same places"
        children = descendants(other.program.pid)
        async with openai.AsyncOpenAI(base_url=other.endpoint, api_key=other.key, max_retries=0) as client:
            reasons = []
            async for chunk in await client.chat.completions.create(
                model="chat@appliance", messages=MESSAGES, max_tokens=40, stream=True
            ):
                if not reasons:
                    other.program.signal(number)
                reasons += [choice.finish_reason for choice in chunk.choices]
        assert len(reasons) >= 40
        assert reasons[-1] in ("stop", "length")
        assert await other.program.ended() == 0
        await until(lambda: not any(map(is_running, children)), "the children are gone", within_s=5.0)
        assert "Traceback" not in other.program.errors
    finally:
        other.program.kill()


async def test_a_taken_port_ends_it_with_an_error_and_without_children(up: Up, tmp_path: Path) -> None:
    taken = up.endpoint.removeprefix("http://").removesuffix("/v1")
    other = Program(tmp_path, "up", "--listen", taken, "--admin", "127.0.0.1:0")
    try:
        await until(lambda: descendants(other.pid), "it starts its places")
        children = descendants(other.pid)
        assert await other.ended() == 1
        assert f"cannot listen on {taken}" in other.errors
        assert "Traceback" not in other.errors
        assert not any(map(is_running, children))
    finally:
        other.kill()
