"""What leaves the server: framing, order, and what a handler may do wrong."""

import logging
from time import monotonic

import pytest
from tests.wire.serving import Caller, answer_ok, serving, until

from switchgear.wire.errors import RefusedRequest
from switchgear.wire.exchange import EVENT_STREAM, JSON, Exchange, header
from switchgear.wire.server import Server

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class Keeper:
    """A handler that keeps what it is given, to be answered by the test."""

    def __init__(self) -> None:
        self.kept: list[Exchange] = []

    def __call__(self, exchange: Exchange) -> None:
        self.kept.append(exchange)

    async def next(self, count: int = 1) -> Exchange:
        await until(lambda: len(self.kept) >= count)
        return self.kept[count - 1]


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with serving(Server(answer_ok)) as address, Caller(address) as caller:
        for _ in range(3):
            await caller.send(GET)
            answer = await caller.answer()
            assert (answer.status, answer.body) == (200, b'{"ok":true}')
            assert answer.headers["content-type"] == "application/json"
            assert "connection" not in answer.headers
            assert answer.headers["date"].endswith("GMT")


async def test_pipelined_requests_are_answered_in_order_though_the_handler_takes_its_time() -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        await caller.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(5)))
        for number in range(5):
            exchange = await keeper.next(number + 1)
            assert len(keeper.kept) == number + 1, (
                "a request was handed over before the one in front of it was answered"
            )
            assert exchange.target == b"/%d" % number
            exchange.reply(200, b"%d" % number)
        assert [(await caller.answer()).body for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


async def test_pipelined_requests_over_many_connections_finish_out_of_order_without_mixing() -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address, Caller(address) as one, Caller(address) as two:
        await one.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        await keeper.next(1)
        await two.send(b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
        (await keeper.next(2)).reply(200, b"3")
        assert (await two.answer()).body == b"3"
        keeper.kept[0].reply(200, b"1")
        (await keeper.next(3)).reply(200, b"2")
        assert [(await one.answer()).body, (await one.answer()).body] == [b"1", b"2"]


async def test_a_thousand_pipelined_requests_answered_at_once_do_not_deepen_the_stack() -> None:
    async with serving(Server(answer_ok)) as address, Caller(address) as caller:
        await caller.send(GET * 5000 + LAST)
        assert (await caller.ended()).count(b"HTTP/1.1 200 OK\r\n") == 5001


async def test_requests_that_arrive_while_one_is_answered_are_held_and_then_read() -> None:
    keeper = Keeper()
    body = bytes(range(256)) * 2000
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        await caller.send(GET)
        await keeper.next()
        await caller.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body, 50_000)
        await caller.send(GET)
        keeper.kept[0].reply(200, b"1")
        exchange = await keeper.next(2)
        assert exchange.body == body
        exchange.reply(200, b"2")
        (await keeper.next(3)).reply(200, b"3")
        assert [(await caller.answer()).body for _ in range(3)] == [b"1", b"2", b"3"]


async def test_a_body_in_chunks_becomes_one() -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        await caller.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        pieces = [b"%d," % number for number in range(3000)]
        for piece in pieces:
            caller.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await caller.send(b"0\r\n\r\n")
        exchange = await keeper.next()
        assert type(exchange.body) is bytes
        assert exchange.body == b"".join(pieces)
        exchange.reply(200, b"")
        assert (await caller.answer()).status == 200


async def test_the_handler_sees_the_request_as_it_was_sent() -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        await caller.send(b"PUT http://b:81/p?q HTTP/1.1\r\nHost: a\r\nX-One:  1 \r\nx-two: 2\r\nX-ONE: 3\r\n\r\n")
        exchange = await keeper.next()
        assert (exchange.method, exchange.target) == (b"PUT", b"/p?q")
        assert exchange.headers == {b"host": b"b:81", b"x-one": b"1, 3", b"x-two": b"2"}
        assert exchange.open
        assert not exchange.stalled
        assert exchange.received_s <= monotonic()
        exchange.reply(204, b"")
        assert not exchange.open


async def test_a_stream_is_chunked_and_its_head_leaves_with_the_first_data() -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        await caller.send(GET)
        exchange = await keeper.next()
        exchange.start(200, EVENT_STREAM + header("x-test", "yes"))
        exchange.write(b"data: 1\n\n")
        exchange.write(b"")  # would end the answer, were it sent as a chunk
        exchange.write(b"data: 2\n\n")
        exchange.finish(b"data: 3\n\n")
        exchange.write(b"too late")
        exchange.finish()
        exchange.reply(200, b"too late")
        answer = await caller.answer()
        assert answer.chunks == [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["x-test"] == "yes"
        await caller.send(GET)
        (await keeper.next(2)).reply(200, b"next")
        assert (await caller.answer()).body == b"next"


@pytest.mark.parametrize("finish", [b"", b"data"])
async def test_a_stream_may_be_empty_or_a_single_write(finish: bytes) -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        await caller.send(GET)
        exchange = await keeper.next()
        exchange.start(200)
        exchange.finish(finish)
        assert (await caller.answer()).body == finish


@pytest.mark.parametrize(
    ("request_bytes", "keeps"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
async def test_the_answer_says_whether_the_connection_stays(request_bytes: bytes, keeps: bool) -> None:
    async with serving(Server(answer_ok)) as address, Caller(address) as caller:
        await caller.send(request_bytes)
        answer = await caller.answer()
        if keeps:
            assert answer.headers.get("connection", "keep-alive") == "keep-alive"
            assert ("connection" in answer.headers) == (b"HTTP/1.0" in request_bytes)
            await caller.send(request_bytes)
            assert (await caller.answer()).status == 200
        else:
            assert answer.headers["connection"] == "close"
            assert await caller.ended() == b""


async def test_a_stream_to_http_1_0_ends_with_its_connection_and_is_not_chunked() -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        await caller.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        exchange = await keeper.next()
        exchange.start(200)
        exchange.write(b"one ")
        exchange.finish(b"two")
        status, headers = await caller.head()
        assert (status, headers["connection"]) == (200, "close")
        assert "transfer-encoding" not in headers
        assert await caller.ended() == b"one two"


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_to_head_has_no_body(streamed: bool) -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        await caller.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + LAST)
        exchange = await keeper.next()
        if streamed:
            exchange.start(200)
            exchange.write(b"unseen")
            exchange.finish(b"unseen")
        else:
            exchange.reply(200, b"unseen")
        answer = await caller.answer(head_only=True)
        assert answer.headers.get("content-length") == (None if streamed else "6")
        (await keeper.next(2)).reply(200, b"seen")
        assert (await caller.answer()).body == b"seen"


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_whose_status_has_no_body_has_none(status: int, streamed: bool) -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        await caller.send(GET + LAST)
        exchange = await keeper.next()
        if streamed:
            exchange.start(status, b"")
            exchange.write(b"unseen")
            exchange.finish()
        else:
            exchange.reply(status, b"unseen", b"")
        answer = await caller.answer()
        assert answer.status == status
        assert not {"content-length", "transfer-encoding"} & answer.headers.keys()
        (await keeper.next(2)).reply(200, b"seen")
        assert (await caller.answer()).body == b"seen"


async def test_a_status_without_a_name_is_sent() -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        await caller.send(GET)
        (await keeper.next()).reply(599, b"", JSON)
        assert (await caller.answer()).status == 599


async def test_a_started_answer_of_which_nothing_is_sent_may_be_replaced() -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        await caller.send(GET)
        exchange = await keeper.next()
        exchange.start(200)
        exchange.reply(502, b"it failed")
        answer = await caller.answer()
        assert (answer.status, answer.body) == (502, b"it failed")


async def test_a_second_answer_after_sent_data_cuts_the_connection() -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        await caller.send(GET)
        exchange = await keeper.next()
        exchange.start(200)
        exchange.write(b"part")
        assert (await caller.head())[0] == 200
        assert await caller.chunk() == b"part"
        exchange.reply(502, b"it failed")
        with pytest.raises((EOFError, ConnectionResetError)):
            await caller.chunk()


async def test_an_aborted_answer_cannot_be_taken_for_whole_and_is_not_called_gone() -> None:
    keeper = Keeper()
    gone: list[str] = []
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        await caller.send(GET)
        exchange = await keeper.next()
        exchange.on_gone = lambda: gone.append("gone")
        exchange.start(200)
        exchange.write(b"part")
        assert (await caller.head())[0] == 200
        assert await caller.chunk() == b"part"
        exchange.abort()
        assert not exchange.open
        with pytest.raises((EOFError, ConnectionResetError)):
            await caller.chunk()
        assert gone == []


@pytest.mark.parametrize("begun", [False, True])
async def test_a_handler_that_fails_is_logged_and_the_caller_is_not_left_waiting(
    begun: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(exchange: Exchange) -> None:
        if exchange.target == b"/good":
            exchange.reply(200, b"")
            return
        if begun:
            exchange.start(200)
            exchange.write(b"part")
        raise RuntimeError("a defect")

    async with serving(Server(handler)) as address:
        async with Caller(address) as caller:
            await caller.send(GET)
            if begun:
                with pytest.raises((EOFError, ConnectionResetError)):
                    await caller.answer()
            else:
                answer = await caller.answer()
                assert (answer.status, answer.headers["connection"]) == (500, "close")
                assert b"internal_error" in answer.body
                assert b"a defect" not in answer.body
        async with Caller(address) as caller:
            await caller.send(b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await caller.answer()).status == 200
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert caplog.records[0].exc_info is not None
    caplog.clear()


def test_a_header_line_cannot_be_ended_early() -> None:
    assert header("x-a", "b") == b"x-a: b\r\n"
    for name, value in (("x", "a\r\nevil: 1"), ("x", "a\nb"), ("x\r", "a"), ("x", "a\0")):
        with pytest.raises(ValueError, match="line break or NUL"):
            header(name, value)


async def test_what_a_head_was_found_to_be_goes_with_every_request_of_the_same_head_and_no_other() -> None:
    asked: list[bytes] = []

    def check(exchange: Exchange) -> RefusedRequest | None:
        key = exchange.headers[b"authorization"]
        asked.append(key)
        exchange.context = b"who has " + key
        return RefusedRequest(401, "no", "No.") if key == b"bad" else None

    def post(key: bytes, body: bytes) -> bytes:
        return b"POST / HTTP/1.1\r\nHost: a\r\nAuthorization: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            key,
            len(body),
            body,
        )

    keeper = Keeper()
    async with serving(Server(keeper, check_head=check)) as address, Caller(address) as caller:
        for count, key in enumerate((b"1", b"1", b"1", b"2", b"1", b"1"), 1):
            await caller.send(post(key, b"x" * count), 40 if count == 6 else 0)
            exchange = await keeper.next(count)
            assert (exchange.context, len(exchange.body)) == (b"who has " + key, count)
            exchange.reply(200, b"")
            assert (await caller.answer()).status == 200
        assert set(asked) == {b"1", b"2"}
        assert asked[-1] == b"1", "a request that comes in pieces is shown again"
        await caller.send(post(b"bad", b"x"))
        assert (await caller.answer()).status == 401
        assert len(keeper.kept) == 6


async def test_what_one_request_said_does_not_change_with_the_next() -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        for count, body in enumerate((b"1", b"22", b"333"), 1):
            await caller.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            exchange = await keeper.next(count)
            exchange.reply(200, b"")
            await caller.answer()
        assert [exchange.body for exchange in keeper.kept] == [b"1", b"22", b"333"]
        _, parsed, recognized = (exchange.headers for exchange in keeper.kept)
        assert dict(parsed) == {b"host": b"a", b"content-length": b"2"}
        assert dict(recognized) == {b"host": b"a"}, "a length that may be another's is not told"
        with pytest.raises(TypeError):
            recognized[b"x-added"] = b"by the handler"  # type: ignore[index]  # what the test shows
