"""Who calls, by the head of a request: a key, a token or a certificate; and the data class that the head declares."""

import logging
from collections.abc import Mapping

import msgspec

from switchgear.core.data_class import DataClass
from switchgear.core.snapshot import Endpoint
from switchgear.gateway.errors import Refused
from switchgear.gateway.table import Plan, Table
from switchgear.identity.model import Credential, Pending, Principal
from switchgear.identity.refusals import Refusal
from switchgear.wire.exchange import Exchange

log = logging.getLogger(__name__)
DATA_CLASS = b"x-switchgear-data-class"
_CLASSES = {one.value: one for one in DataClass}


_LINES_PER_S = 10


class _Seldom(logging.Filter):
    """Lets so many lines of each second through: it is strangers who bring them about."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._second = 0
        self._lines = 0

    def filter(self, record: logging.LogRecord) -> bool:
        second = int(record.created)
        self._lines = self._lines + 1 if second == self._second else 1
        self._second = second
        return self._lines <= self._most


log.addFilter(_Seldom(_LINES_PER_S))


class Caller(msgspec.Struct, eq=False):
    """What is known of a caller. Kept beside its connection for all requests with the same head."""

    table: Table | None = None
    """The table that said so; another one must be asked anew."""
    credential: Credential | None = None
    plans: dict[bytes, Plan] | None = None
    """For a head that says nothing which each call must look at: what is known of its calls by their model."""


def who(
    exchange: Exchange, table: Table, now_s: float
) -> tuple[Principal | Refusal | Pending | None, Credential | None]:
    """Who sends a request, at a moment in Unix time; None: nobody is named. With a principal comes what showed it."""
    authorization = exchange.headers.get(b"authorization")
    if authorization is not None and authorization[:7].lower() == b"bearer ":
        token = authorization[7:].strip()
        answer = table.identity.identify(token, now_s)
        return answer, table.identity.credential(token) if isinstance(answer, Principal) else None
    connection = exchange.connection
    if authorization is None and connection is not None and connection.peer_certificate is not None:
        found = table.identity.certificate(connection.peer_certificate, connection.peer_certificate_der)
        if isinstance(found, Refusal):
            return found, None
        return found.answer(now_s), found
    return None, None


def declared_class(headers: Mapping[bytes, bytes]) -> DataClass | None:
    """What the caller says that its call carries. Raises Refused."""
    word = headers.get(DATA_CLASS)
    if word is None:
        return None
    found = _CLASSES.get(word.decode("latin-1").strip().lower())
    if found is None:
        raise Refused(
            "invalid_field",
            f"The header x-switchgear-data-class is one of {', '.join(_CLASSES)}.",
            param="x-switchgear-data-class",
        )
    return found


def refused(answer: Principal | Refusal | None, headers: Mapping[bytes, bytes]) -> Refused | None:
    """The error for a caller who is not let in; None for one who is."""
    if isinstance(answer, Principal):
        return None
    if isinstance(answer, Refusal):
        if answer.detail:  # which the caller is not told
            log.info("a caller is refused with %s: %s", answer.code, answer.detail)
        return Refused(answer.code, answer.message, retry_after_s=answer.retry_after_s)
    if b"authorization" not in headers:
        return Refused("missing_key", "Send your key as a header: Authorization: Bearer KEY.")
    return Refused("invalid_api_key", "The key is not known here.")


def plans_for(
    table: Table, principal: Principal, endpoint: Endpoint | None, headers: Mapping[bytes, bytes]
) -> dict[bytes, Plan] | None:
    """Where the plans of such calls are kept; None where there are none, because the class it declares is not one."""
    if endpoint is None:
        return None
    try:
        return table.plans(principal, endpoint, declared_class(headers))
    except Refused:
        return None
