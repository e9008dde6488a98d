"""Client certificates as identity, shown in a real TLS handshake."""

import ssl
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from switchgear.core.identity import Certificate
from switchgear.identity.certificates import Certificates
from switchgear.identity.model import Credential, Principal, Principals
from switchgear.identity.refusals import Refusal

CA = trustme.CA()
SPIFFE = "spiffe://example.org/gateway/edge-42"


def handshake(client: trustme.LeafCert) -> tuple[dict[str, Any], bytes]:
    """What a server is told of the certificate that its caller shows."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.verify_mode = ssl.CERT_REQUIRED
    CA.issue_cert("localhost").configure_cert(server_context)
    CA.configure_trust(server_context)
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    CA.configure_trust(client_context)
    client.configure_cert(client_context)
    pipes = [ssl.MemoryBIO() for _ in range(2)]
    server = server_context.wrap_bio(pipes[0], pipes[1], server_side=True)
    caller = client_context.wrap_bio(pipes[1], pipes[0], server_hostname="localhost")
    for _ in range(5):
        for side in (caller, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    peer, der = server.getpeercert(), server.getpeercert(binary_form=True)
    assert peer
    assert der is not None
    return peer, der


def who(client: trustme.LeafCert, *configured: Certificate, at: datetime | None = None) -> Principal | Refusal:
    answer = Certificates(configured, Principals()).credential(*handshake(client))
    if isinstance(answer, Refusal):
        return answer
    assert isinstance(answer, Credential)
    found = answer.answer((at or datetime.now(UTC)).timestamp())
    assert found is not None
    return found


def name_of(answer: Principal | Refusal) -> str:
    return answer.name if isinstance(answer, Principal) else answer.code


EDGE = CA.issue_cert("Edge-42.example.com", "10.0.0.5", common_name="edge 42")
PERSON = CA.issue_cert("alice@Example.com", common_name="alice")


def fingerprint(client: trustme.LeafCert) -> str:
    first = load_pem_x509_certificate(client.cert_chain_pems[0].bytes())
    return sha256(first.public_bytes(Encoding.DER)).hexdigest()


@pytest.mark.parametrize(
    ("client", "match"),
    [
        (EDGE, {"dns": "edge-42.example.com"}),
        (EDGE, {"dns": "EDGE-42.EXAMPLE.COM"}),
        (EDGE, {"common_name": "edge 42"}),
        (EDGE, {"sha256": fingerprint(EDGE)}),
        (EDGE, {"dns": "edge-42.example.com", "common_name": "edge 42"}),
        (PERSON, {"email": "alice@example.COM"}),
    ],
)
def test_each_name_that_a_certificate_can_be_known_by(client: trustme.LeafCert, match: dict[str, Any]) -> None:
    found = who(client, Certificate(name="it", team="edge", roles=("device",), **match))
    assert isinstance(found, Principal)
    assert (found.name, found.team, found.roles) == ("it", "edge", ("device",))


@pytest.mark.parametrize(
    ("client", "match"),
    [
        (EDGE, {"dns": "edge-4.example.com"}),
        (EDGE, {"dns": "*.example.com"}),
        (EDGE, {"dns": "edge 42"}),
        (EDGE, {"common_name": "edge-42.example.com"}),
        (EDGE, {"common_name": "Edge 42"}),
        (EDGE, {"email": "edge-42.example.com"}),
        (EDGE, {"sha256": fingerprint(PERSON)}),
        (EDGE, {"dns": "edge-42.example.com", "common_name": "another"}),
        (EDGE, {}),
        (PERSON, {"email": "Alice@example.com"}),
        (PERSON, {"dns": "alice@example.com"}),
    ],
)
def test_what_is_not_the_same(client: trustme.LeafCert, match: dict[str, Any]) -> None:
    assert name_of(who(client, Certificate(name="it", **match))) == "unknown_certificate"


def test_a_spiffe_id() -> None:
    peer = {
        "subject": (),
        "subjectAltName": (("URI", SPIFFE), ("DNS", "other")),
        "notBefore": "Jan  1 00:00:00 2026 GMT",
        "notAfter": "Jan  1 00:00:00 2036 GMT",
    }
    known = Certificates([Certificate(name="edge", uri=SPIFFE)], Principals())
    assert isinstance(known.credential(peer, b"der"), Credential)
    for other in (SPIFFE + "/", SPIFFE.upper(), SPIFFE[:-1]):
        changed = peer | {"subjectAltName": (("URI", other), ("DNS", SPIFFE))}
        assert isinstance(known.credential(changed, b"der"), Refusal)


def test_one_certificate_is_one_identity() -> None:
    first, second = Certificate(name="one", dns="edge-42.example.com"), Certificate(name="two", common_name="edge 42")
    answer = who(EDGE, first, second)
    assert isinstance(answer, Refusal)
    assert answer.code == "ambiguous_certificate"
    assert "one, two" in answer.detail


def test_when_it_counts() -> None:
    now = datetime.now(UTC)
    short = CA.issue_cert("short.example.com", not_before=now - timedelta(days=1), not_after=now + timedelta(days=1))
    known = Certificate(name="it", dns="short.example.com")
    assert name_of(who(short, known, at=now)) == "it"
    assert name_of(who(short, known, at=now + timedelta(days=2))) == "certificate_expired"
    assert name_of(who(short, known, at=now - timedelta(days=2))) == "certificate_expired"
    ended = Certificate(name="it", dns="short.example.com", expires=now - timedelta(hours=1))
    assert name_of(who(short, ended, at=now)) == "certificate_expired"
    disabled = Certificate(name="it", dns="short.example.com", disabled=True)
    assert name_of(who(short, disabled, at=now)) == "certificate_disabled"


def test_a_certificate_of_which_the_time_is_not_told_does_not_count() -> None:
    known = Certificates([Certificate(name="edge", uri=SPIFFE)], Principals())
    credential = known.credential({"subjectAltName": (("URI", SPIFFE),)}, b"der")
    assert isinstance(credential, Credential)
    assert isinstance(credential.answer(datetime.now(UTC).timestamp()), Refusal)
