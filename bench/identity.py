"""What it costs to tell who calls: a key, a token seen before, a new token for each way to sign, a forged one. Best CPU microseconds.

`python -m bench.identity`. The SHA-256 of the same bytes is the floor of a look-up.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from rich.console import Console
from rich.table import Table

from switchgear.core.clock import SystemClock
from switchgear.core.identity import Algorithm, ClaimPaths, Key, OidcProvider
from switchgear.identity.jwks import read_jwks
from switchgear.identity.key_source import KeySource
from switchgear.identity.model import Principal
from switchgear.identity.refusals import Refusal
from switchgear.identity.service import Identities, Identity

ISSUER = "https://login.example.com/realms/company"
KEYS: dict[str, Any] = {
    "RS256": RSAKey.generate_key(2048, {"kid": "RS256"}),
    "RS256, 4096 bits": RSAKey.generate_key(4096, {"kid": "RS256, 4096 bits"}),
    "PS256": RSAKey.generate_key(2048, {"kid": "PS256"}),
    "ES256": ECKey.generate_key("P-256", {"kid": "ES256"}),
    "ES384": ECKey.generate_key("P-384", {"kid": "ES384"}),
    "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "EdDSA"}),
}
SECRET = b"sk-sg-" + b"x" * 43


class Published:
    """A provider whose keys are at hand."""

    async def read(self) -> bytes:
        parts = [KEYS[name].as_dict(private=False) for name in KEYS]
        return json.dumps({"keys": parts}).encode()


def tokens(name: str, count: int) -> list[bytes]:
    """So many good tokens of about 900 bytes, each of somebody else."""
    key, algorithm = KEYS[name], name.partition(",")[0]
    registry = JWSRegistry(algorithms=[algorithm])
    registry.get_alg = lambda name: JWSRegistry.algorithms[name]  # type: ignore[method-assign]  # no warning for EdDSA
    now_s = int(time.time())
    usual = {
        "iss": ISSUER,
        "aud": ["urn:switchgear", "account"],
        "iat": now_s,
        "nbf": now_s,
        "exp": now_s + 3600,
        "realm_access": {"roles": ["offline_access", "engineer", "reviewer"]},
        "department": {"team": "platform"},
        "scope": "openid profile email",
        "sid": "0c6a1f4e-6f0b-4e7e-9d0a-2f6f5a1f9c55",
    }
    return [
        jwt.encode({"alg": algorithm, "kid": name}, {**usual, "sub": f"user-{number}"}, key, registry=registry).encode()
        for number in range(count)
    ]


def best_us(step: Callable[[Any], object], inputs: list[Any], rounds: int) -> float:
    """Of the mean over all inputs, the best round: what disturbs only adds."""
    found = []
    for _ in range(rounds):
        begin = time.thread_time_ns()
        for one in inputs:
            step(one)
        found.append((time.thread_time_ns() - begin) / len(inputs) / 1000)
    return min(found)


def expected(answer: object, kind: type) -> None:
    """A figure of something else than it says is worth nothing."""
    if not isinstance(answer, kind):
        raise SystemExit(f"void: {answer}")


def fresh(identity: Identity, shown: list[bytes], now_s: float) -> Callable[[bytes], object]:
    """`identify` with nothing remembered of the token."""
    expected(identity.identify(shown[0], now_s), Principal)

    def step(token: bytes) -> object:
        identity._recent.clear()
        return identity.identify(token, now_s)

    return step


async def measure(rounds: int) -> list[tuple[str, float]]:
    """A row for each way to show who one is."""
    clock = SystemClock()
    identities = Identities(
        lambda name, provider, removed: KeySource(
            name, provider, Published(), clock, random.Random(1), removed=removed
        ),
        clock.now_s,
    )
    provider = OidcProvider(
        issuer=ISSUER,
        audience=("urn:switchgear",),
        algorithms=tuple(Algorithm),
        claims=ClaimPaths(team="department.team", roles="realm_access.roles"),
    )
    keys = [Key(name=f"key-{number}", sha256=sha256(b"%d" % number).hexdigest()) for number in range(1000)]
    keys.append(Key(name="app", sha256=sha256(SECRET).hexdigest()))
    identity = identities.build(keys, {"company": provider}, ())
    await asyncio.sleep(0.01)
    now_s = clock.now_s()
    rows: list[tuple[str, float]] = []

    def key(token: bytes) -> object:
        return identity.identify(token, now_s)

    expected(key(SECRET), Principal)
    copies = [bytes(bytearray(SECRET)) for _ in range(2000)]
    rows.append(("key, one of 1,001", best_us(key, copies, rounds)))
    rows.append(("  its SHA-256 alone", best_us(lambda token: sha256(token).digest(), copies, rounds)))
    rows.append(("unknown key", best_us(key, [b"sk-sg-%043d" % number for number in range(2000)], rounds)))
    seen = tokens("RS256", 1000)
    for token in seen:
        expected(key(token), Principal)
    rows.append((f"token seen before, {statistics.mean(map(len, seen)):.0f} bytes", best_us(key, seen, rounds)))
    rows.append(("  its SHA-256 alone", best_us(lambda token: sha256(token).digest(), seen, rounds)))
    for name in KEYS:
        shown = tokens(name, 100)
        rows.append((f"new token, {name}", best_us(fresh(identity, shown, now_s), shown, rounds)))
    forged = [token[:-8] + b"AAAAAAAA" for token in tokens("RS256", 100)]
    expected(key(forged[0]), Refusal)
    rows.append(("forged signature, RS256", best_us(key, forged, rounds)))
    content = await Published().read()
    rows.append((f"a key set of {len(KEYS)} read", best_us(read_jwks, [content] * 5, rounds)))
    await identities.close()
    return rows


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="CPU time of telling who calls.")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    table = Table("", "CPU us", title="telling who calls")
    for name, cost_us in asyncio.run(measure(options.rounds)):
        table.add_row(name, f"{cost_us:.2f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
