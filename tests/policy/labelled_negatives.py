"""Texts with nothing in them that the screen should find: what looks like it, and what people mostly send."""

import hashlib
import inspect
import json
import random
import textwrap
import uuid
from collections.abc import Iterator

from faker import Faker

_LOCALES = ("en_US", "de_DE", "fr_FR", "es_ES", "it_IT", "pl_PL", "ja_JP", "zh_CN", "ru_RU")
_FIXED = (
    "Order #2024-000123 of 12/03/2024 was shipped; invoice RE-2024-04711, customer 10023, 3 items, EUR 1,234.56.",
    "Upgrade from 1.2.3 to 2.0.0-rc.1, then to version 10.4.0.17; the chart is 5.12.3+build.447.",
    "It runs from 2024-11-21T08:03:26Z to 2024-11-21 09:15:00, 12:30:45 at the latest, every 15 minutes.",
    "The range is 100-200, the score 3-2, pages 120-135, § 823 Abs. 1 BGB, Art. 6(1)(f), RFC 9110, ISO 27001:2022.",
    "DOI 10.1145/3292500.3330701, ISBN 978-3-16-148410-0, ISSN 2049-3630, CAS 7732-18-5, arXiv:2106.09685, CVE-2024-3094.",
    "SELECT id, name FROM orders WHERE total > 100000 AND created_at >= '2024-01-01' LIMIT 500;",
    "def f(x: int) -> str:\n    return f'{x:08d}'\n\n@app.route('/users/<int:id>')\nclass A(B): pass  # std::vector<int>::iterator",
    "0.123456789012345678 3.141592653589793 2.718281828459045 6.02214076e23 1700000000000 18446744073709551615 4294967296",
    "EAN 4006381333931, tracking 1Z999AA10123456784, part AB-1234-5678-XY, batch 20240315-77, serial 00-11-22, room 12-345.",
    "The card 4111 1111 1111 1112 has a wrong check digit and DE89 3704 0044 0532 0130 01 is no account; 000-12-3456 is no SSN.",
    "password: <your password here>\napi_key = os.environ['API_KEY']\ntoken = get_token()\nsecret: ${SECRET}\nAPI_KEY=changeme",
    "const token = await getAccessToken(user); if (!password) throw new Error('password is required');",
    "The secret is to keep going. A token of thanks. The key features are: speed, size and price. Auth is optional.",
    "listen 127.0.0.1:8080; netmask 255.255.255.0; bind 0.0.0.0; dependency libfoo.so.1.2.3; Chrome/120.0.6099.109",
    "logo@2x.png, user@localhost, @dataclass, git@v2, foo@1.2.3, a @ b, C++ std::dec, ns::Type, dead:beef",
    "A passport is needed. A driver's licence, too: you must be 18. He was born in Ohio in the year of the flood. Call me tomorrow.",
    "In 2024 sales grew by 12% to 4,500,000 units; 65 countries, 3 regions, 1,200 employees, 99.95 % uptime.",
    "| id | qty | price |\n|---|---|---|\n| 1001 | 20 | 19.99 |\n| 1002 | 5 | 249.00 |\n| 1003 | 120 | 4.75 |",
    "x = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181, 6765]",
    "rgb(255, 255, 255) #ff00aa 0xDEADBEEF 1e-9 192x108 1920x1080@60 16:9 4K H.264 MPEG-4 802.11ax",
)


def _digests() -> Iterator[str]:
    rng = random.Random(4)
    for _ in range(25):
        data = rng.randbytes(16)
        yield f"sha256:{hashlib.sha256(data).hexdigest()} md5 {hashlib.md5(data).hexdigest()}"
        yield f"commit {hashlib.sha1(data).hexdigest()}"
        yield f"request {uuid.UUID(bytes=data)} took {rng.random():.17f} s at {rng.randrange(10**12, 2 * 10**12)}"


def _numbers() -> Iterator[str]:
    rng = random.Random(5)
    for _ in range(60):
        yield f"Order {rng.randrange(10**8, 10**9)}, reference {rng.randrange(10**9, 10**10)}, article {rng.randrange(10**6, 10**7)}."
        yield f"Ticket {rng.randrange(10**10, 10**11)} was closed after {rng.randrange(10, 99)}:{rng.randrange(10, 59)}."


def _prose() -> Iterator[str]:
    for locale in _LOCALES:
        fake = Faker(locale)
        fake.seed_instance(6)
        for _ in range(8):
            yield fake.paragraph(nb_sentences=12)
            yield f"{fake.company()}: {fake.catch_phrase() if locale == 'en_US' else fake.text(200)}"


def _code() -> Iterator[str]:
    for module in (json.decoder, json.encoder, hashlib, random, textwrap, uuid, inspect):
        lines = inspect.getsource(module).splitlines()
        source = "\n".join(line for line in lines if "@" not in line.lstrip()[1:])  # authors' real addresses
        for at in range(0, min(len(source), 16_000), 2_000):
            yield source[at : at + 2_000]


def negatives() -> list[str]:
    """The whole set; the same on every machine, but for the standard library's own code."""
    return [*_FIXED, *_digests(), *_numbers(), *_prose(), *_code()]
