"""What a client makes of answers: whole, cut, malformed, too large, or never asked for."""

import asyncio
from collections.abc import Mapping

import pytest
from tests.wire.scripted_origin import GET, OK, Heard, Line, always_ok, answering, ask, pool_to
from tests.wire.serving import until

from switchgear.wire.errors import AnswerTooLarge, ConnectError, ProtocolError, ResetError, Truncated

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("piece", [0, 1, 7])
@pytest.mark.parametrize(
    ("answer", "status", "body", "kept"),
    [
        (OK, 200, b"ok", True),
        (HEAD + b"content-length: 0\r\n\r\n", 200, b"", True),
        (CHUNKED + b"2\r\nok\r\n3;x=y\r\n...\r\n0\r\n\r\n", 200, b"ok...", True),
        (CHUNKED + b"2\r\nok\r\n0\r\nx-trailer: y\r\n\r\n", 200, b"ok", True),
        (CHUNKED + b"0\r\n\r\n", 200, b"", True),
        (HEAD.replace(b"OK", b"") + b"Content-Length:  2 \r\n\r\nok", 200, b"ok", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304, b"", True),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nno", 503, b"no", True),
        (HEAD + b"connection: close\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", False),
        (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", True),
        (HEAD + b"\r\nup to the end", 200, b"up to the end", False),
        (HEAD + b"\r\n", 200, b"", False),
        (HEAD + b"transfer-encoding: identity\r\n\r\nup to the end", 200, b"up to the end", False),
        (b"HTTP/1.0 200 OK\r\n\r\nup to the end", 200, b"up to the end", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok", True),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK, 200, b"ok", True),
    ],
)
async def test_whole_answers(answer: bytes, status: int, body: bytes, kept: bool, piece: int) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(answer, piece)
        if kept:
            await always_ok(line)

    async with pool_to(script, always_ok) as (pool, _):
        heard = await ask(pool)
        assert await heard.outcome() is None
        assert (heard.status, heard.body) == (status, body)
        assert b"link" not in heard.headers
        again = await ask(pool)
        assert await again.outcome() is None
        assert pool.opened == (1 if kept else 2)


async def test_header_names_are_lower_case_and_repeated_ones_joined() -> None:
    answer = HEAD + b"X-One:  1 \r\nx-one: 2\r\nContent-LENGTH: 0\r\n\r\n"
    async with pool_to(answering(answer)) as (pool, _):
        heard = await ask(pool)
        assert await heard.outcome() is None
        assert heard.headers == {b"x-one": b"1, 2", b"content-length": b"0"}


@pytest.mark.parametrize("length", [b"content-length: 5\r\n", b"", b"transfer-encoding: chunked\r\n"])
async def test_an_answer_to_head_ends_with_its_head(length: bytes) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(HEAD + length + b"\r\n")
        await always_ok(line)

    async with pool_to(script, always_ok) as (pool, _):
        heard = await ask(pool, b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert await heard.outcome() is None
        assert (heard.status, heard.body) == (200, b"")
        for _ in range(2):
            again = await ask(pool)
            assert await again.outcome() is None
            assert again.body == b"ok"


async def test_a_body_that_follows_an_answer_to_head_reaches_nobody() -> None:
    async with pool_to(answering(OK), always_ok) as (pool, _):
        heard = await ask(pool, b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert await heard.outcome() is None
        assert heard.body == b""
        again = await ask(pool)
        assert await again.outcome() is None
        assert (again.body, pool.opened) == (b"ok", 2)


@pytest.mark.parametrize("piece", [0, 1])
@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"content-length: 5\r\n\r\nhell",
        HEAD + b"content-length: 5\r\n\r\n",
        HEAD + b"content-le",
        b"HTTP/1.1 2",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        CHUNKED + b"5\r\nhel",
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
        CHUNKED,
    ],
)
async def test_an_answer_cut_short_is_never_taken_for_whole(answer: bytes, piece: int) -> None:
    async with pool_to(answering(answer, piece=piece)) as (pool, _):
        heard = await ask(pool)
        assert type(await heard.outcome()) is Truncated
        await until(lambda: pool.open == 0)


@pytest.mark.parametrize(
    "answer", [HEAD + b"\r\nup to the", HEAD + b"content-length: 5\r\n\r\nhel", CHUNKED + b"5\r\nhel"]
)
async def test_an_answer_ended_by_a_reset_is_never_taken_for_whole(answer: bytes) -> None:
    heard_some = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.send(answer)
        await heard_some.wait()
        line.reset()

    async with pool_to(script) as (pool, _):
        heard = await ask(pool)
        await until(lambda: heard.data)
        heard_some.set()
        fault = await heard.outcome()
        assert type(fault) is Truncated
        assert isinstance(fault.__cause__, ConnectionResetError)


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage",
        b"\x16\x03\x01\x00\x01",
        b"<html>502</html>",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 000 Zero\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.2 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        HEAD + b"content-length: -1\r\n\r\n",
        HEAD + b"x: y\r\n folded\r\ncontent-length: 0\r\n\r\n",
        HEAD + b"x y: z\r\ncontent-length: 0\r\n\r\n",
        HEAD + b"x: \x00\r\ncontent-length: 0\r\n\r\n",
        HEAD + b"transfer-encoding: gzip\r\n\r\n",
        HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    ],
)
async def test_what_is_not_http_is_said_to_be_so(answer: bytes) -> None:
    async with pool_to(answering(answer)) as (pool, _):
        heard = await ask(pool)
        fault = await heard.outcome()
        assert type(fault) is ProtocolError
        assert "127.0.0.1" in str(fault)
        await until(lambda: pool.open == 0)


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"x: " + b"y" * 70_000 + b"\r\n\r\n",
        HEAD + b"x: " + b"y" * 500_000,
        HEAD + b"x: y\r\n" * 20_000 + b"\r\n",
        HEAD + b"x:" + b" " * 500_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
    ],
)
@pytest.mark.parametrize("piece", [0, 10_000])
async def test_a_head_too_large_is_refused(answer: bytes, piece: int) -> None:
    async with pool_to(answering(answer + b"\r\n", piece=piece)) as (pool, _):
        heard = await ask(pool)
        assert type(await heard.outcome()) is AnswerTooLarge
        await until(lambda: pool.open == 0)


@pytest.mark.parametrize("extra", [b"\r\n\r\ngarbage", OK, b"HTTP/1.1 200 OK\r\n", b"\x00"])
@pytest.mark.parametrize("close", [b"", b"connection: close\r\n"])
@pytest.mark.parametrize("together", [True, False])
async def test_bytes_behind_an_answer_never_answer_the_next_request(extra: bytes, close: bytes, together: bool) -> None:
    answer = HEAD + close + b"content-length: 2\r\n\r\nok"

    async def script(line: Line) -> None:
        await line.request()
        if together:
            await line.send(answer + extra)
        else:
            await line.send(answer)
            await line.send(extra)
        await line.hung_up()

    async with pool_to(script, always_ok) as (pool, origin):
        heard = await ask(pool)
        assert await heard.outcome() is None
        assert heard.body == b"ok"
        await until(lambda: origin.ended == 1)
        assert pool.try_acquire() is None
        again = await ask(pool)
        assert await again.outcome() is None
        assert (again.body, pool.opened) == (b"ok", 2)


async def test_a_connection_closed_without_an_answer_says_whether_it_had_served_before() -> None:
    async def closes(line: Line) -> None:
        await line.request()

    async def serves_then_closes(line: Line) -> None:
        await line.request()
        await line.send(OK)
        await line.request()

    async with pool_to(closes, serves_then_closes) as (pool, _):
        fault = await (await ask(pool)).outcome()
        assert isinstance(fault, ResetError)
        assert not fault.reused
        assert await (await ask(pool)).outcome() is None
        fault = await (await ask(pool)).outcome()
        assert isinstance(fault, ResetError)
        assert fault.reused


async def test_a_connection_lost_before_the_request_says_so_later_and_once() -> None:
    leave = asyncio.Event()

    async def closes(line: Line) -> None:
        await leave.wait()

    async with pool_to(closes) as (pool, _):
        connection = await pool.acquire(5.0)
        leave.set()
        await until(lambda: not connection.usable)
        heard = Heard()
        connection.send(GET, heard, first_s=5, idle_s=5, deadline=asyncio.get_running_loop().time() + 5)
        assert not heard.end.done()
        fault = await heard.outcome()
        assert isinstance(fault, ResetError)
        assert not fault.reused, "a new connection must not be tried again without end"


async def test_a_receiver_may_cancel_within_each_call_and_hears_nothing_more() -> None:
    class Cancels(Heard):
        def __init__(self, at: str) -> None:
            super().__init__()
            self.at = at

        def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
            super().on_head(status, headers)
            if self.at == "head":
                connection.cancel()

        def on_data(self, data: bytes) -> None:
            super().on_data(data)
            connection.cancel()

    for at in ("head", "data"):
        async with pool_to(answering(CHUNKED + b"2\r\nok\r\n0\r\n\r\n")) as (pool, _):
            connection = await pool.acquire(5.0)
            heard = Cancels(at)
            connection.send(GET, heard, first_s=5, idle_s=5, deadline=asyncio.get_running_loop().time() + 5)
            await until(lambda: pool.open == 0)
            assert heard.data == ([] if at == "head" else [b"ok"])
            assert not heard.end.done()


async def test_nothing_listens() -> None:
    async with pool_to(always_ok) as (pool, _):
        pass
    other = type(pool)(pool.origin)
    with pytest.raises(ConnectError, match=r"cannot connect to 127\.0\.0\.1:\d+: .*refused"):
        await other.acquire(5.0)
    assert other.open == 0
