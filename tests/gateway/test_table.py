"""What a table is made of: the way to a backend, and the keys."""

from hashlib import sha256

from switchgear.core.snapshot import Backend, Endpoint, Key, Kind, Model, Target, make_snapshot
from switchgear.gateway.table import Builder
from switchgear.identity.model import Principal
from switchgear.identity.refusals import UNKNOWN_KEY


def test_a_proxy_gets_the_absolute_form_and_its_credentials() -> None:
    snapshot = make_snapshot(
        {"a": Backend(kind=Kind.CLOUD, base_url="http://place.test/v1")},
        {"m": Model(targets=(Target(backend="a", model="x"),))},
        (),
    )
    (target,) = Builder({"HTTP_PROXY": "http://user:word@proxy.test:3128"}).build(snapshot).targets()
    head = target.heads[Endpoint.CHAT]
    assert head.startswith(b"POST http://place.test/v1/chat/completions HTTP/1.1\r\nhost: place.test\r\n")
    assert b"\r\nproxy-authorization: Basic dXNlcjp3b3Jk\r\n" in head


def test_only_a_key_whose_hash_is_known_is_known() -> None:
    key = Key(name="demo", sha256=sha256(b"sk-sg-one").hexdigest())
    table = Builder({}).build(make_snapshot({}, {}, (key,)))
    known = table.identity.identify(b"sk-sg-one", 0.0)
    assert isinstance(known, Principal)
    assert known.name == "demo"
    assert table.identity.identify(b"sk-sg-two", 0.0) == UNKNOWN_KEY
    assert table.identity.identify(key.sha256.encode(), 0.0) == UNKNOWN_KEY, "the hash is not the key"
