"""A connection through every order of events that a caller, a handler and time can bring about, against a few promises."""

import re

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.wire.still_loop import KeptTransport, StillLoop

from switchgear.wire.exchange import Exchange
from switchgear.wire.model import Limits
from switchgear.wire.server import Server
from switchgear.wire.server_connection import ServerConnection

LIMITS = Limits(head_s=10.0, body_idle_s=20.0, keep_alive_s=75.0, linger_s=1.0)


def answers_in(written: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The whole answers with their status and body, 1xx left out; and what follows the last of them."""
    answers = []
    while True:
        head, end, rest = written.partition(b"\r\n\r\n")
        if not end:
            return answers, written
        status = int(head.split(b" ", 2)[1])
        length = re.search(rb"content-length: (\d+)", head)
        if status < 200 or length is not None:
            size = int(length[1]) if length else 0
            body, left = rest[:size], rest[size:]
        else:
            body = b""
            left = rest
            while True:
                line, end, left = left.partition(b"\r\n")
                if not end:
                    return answers, written
                size = int(line, 16)
                body += left[:size]
                if len(left) < size + 2:
                    return answers, written
                left = left[size + 2 :]
                if size == 0:
                    break
        if status >= 200:
            answers.append((status, body))
        written = left


class Connection(RuleBasedStateMachine):
    """Requests are numbered by their targets, answers by their bodies."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = StillLoop()
        self.server = Server(self.handle, limits=LIMITS, error_body=lambda code, message: code.encode())
        self.server.known_hosts.add(b"a")
        self.connection = ServerConnection(self.server, self.loop)
        self.transport = KeptTransport()
        self.connection.connection_made(self.transport)
        self.sent = 0
        self.unread = b""
        self.calls: list[int] = []
        self.active: Exchange | None = None
        self.active_number = -1
        self.streamed = False
        self.answered: list[tuple[int, bytes]] = []
        self.gone: list[int] = []
        self.expected_gone: list[int] = []
        self.lost = False
        self.ended = False

    def handle(self, exchange: Exchange) -> None:
        assert self.active is None, "a request was begun before the one in front of it was answered"
        assert not self.connection.stalled, "a request was begun for a reader that does not read"
        number = int(exchange.target[1:])
        assert exchange.body == (b"" if exchange.method == b"GET" else b"%d" % number)
        self.calls.append(number)
        self.active = exchange
        self.active_number = number
        self.streamed = False
        exchange.on_gone = lambda: self.gone.append(number)

    # -- the caller --

    @precondition(lambda self: not self.ended)
    @rule(kind=st.sampled_from(["get", "post", "chunked", "expect"]))
    def writes_a_request(self, kind: str) -> None:
        body = b"%d" % self.sent
        if kind == "get":
            self.unread += b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % self.sent
        elif kind == "chunked":
            head = b"POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % self.sent
            self.unread += head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            expect = b"Expect: 100-continue\r\n" if kind == "expect" else b""
            head = b"POST /%d HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n" % (self.sent, expect, len(body))
            self.unread += head + body
        self.sent += 1

    @precondition(lambda self: self.unread and not self.lost)
    @rule(part=st.floats(0.0, 1.0))
    def bytes_arrive(self, part: float) -> None:
        if not self.transport.reading or (self.transport.closed and not self.connection._lingering):
            return
        count = max(1, round(part * len(self.unread)))
        data, self.unread = self.unread[:count], self.unread[count:]
        self.connection.data_received(data)

    @precondition(lambda self: not self.lost and not self.transport.closed)
    @rule()
    def stops_or_goes_on_reading(self) -> None:
        if self.connection.stalled:
            self.connection.resume_writing()
        else:
            self.connection.pause_writing()

    @precondition(lambda self: not self.lost and not self.ended)
    @rule()
    def closes_its_side(self) -> None:
        self.ended = True
        if self.active is not None:
            self.expected_gone.append(self.active_number)
        assert self.connection.eof_received() is False
        self.active = None

    @precondition(lambda self: not self.lost)
    @rule()
    def is_lost(self) -> None:
        self.lost = self.ended = True
        if self.active is not None:
            self.expected_gone.append(self.active_number)
        self.connection.connection_lost(None)
        self.active = None

    # -- the handler --

    def finished(self) -> None:
        """The active exchange's answer is whole; to be called before the call that ends it, which may begin the next."""
        self.answered.append((200, b"%d" % self.active_number))
        self.active = None

    @precondition(lambda self: self.active is not None and not self.streamed)
    @rule()
    def replies(self) -> None:
        exchange, number = self.active, self.active_number
        assert exchange is not None
        self.finished()
        exchange.reply(200, b"%d" % number)

    @precondition(lambda self: self.active is not None and not self.streamed)
    @rule()
    def begins_a_stream(self) -> None:
        assert self.active is not None
        self.active.start(200)
        self.active.write(b"%d" % self.active_number)
        self.streamed = True

    @precondition(lambda self: self.active is not None and self.streamed)
    @rule()
    def ends_a_stream(self) -> None:
        exchange = self.active
        assert exchange is not None
        self.finished()
        exchange.finish()

    @precondition(lambda self: self.active is not None)
    @rule()
    def aborts(self) -> None:
        exchange = self.active
        assert exchange is not None
        self.active = None
        exchange.abort()
        assert self.transport.closed

    # -- time, and the end of the server --

    @rule(seconds=st.sampled_from([0.5, 9.0, 30.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.advance(seconds)

    @precondition(lambda self: not self.lost)
    @rule()
    def the_server_drains(self) -> None:
        self.server.draining = True
        self.connection.close_if_idle()

    # -- promises --

    @invariant()
    def requests_are_begun_in_order_and_none_twice(self) -> None:
        assert self.calls == list(range(len(self.calls)))
        assert len(self.calls) <= self.sent

    @invariant()
    def answers_are_whole_and_in_order(self) -> None:
        answers, _ = answers_in(b"".join(self.transport.written))
        served = [answer for answer in answers if answer[0] == 200]
        assert served == self.answered[: len(served)]
        assert len(served) == len(self.answered)
        refused = answers[len(served) :]
        assert len(refused) <= 1
        assert all(status in (408, 503) for status, _ in refused)

    @invariant()
    def who_waited_hears_of_a_hang_up_once(self) -> None:
        assert self.gone == self.expected_gone
        assert self.active is None or self.active.open

    @invariant()
    def an_open_connection_always_waits_for_something(self) -> None:
        if self.lost:
            assert self.loop.armed == 0
        elif self.active is None and not self.transport.closed:
            assert self.loop.armed == 1

    def teardown(self) -> None:
        if not self.lost:
            self.is_lost()
        assert not self.server.connections
        assert self.loop.armed == 0


def test_a_connection_keeps_its_promises_in_every_order_of_events() -> None:
    run_state_machine_as_test(Connection, settings=settings(max_examples=150, stateful_step_count=40, deadline=None))
