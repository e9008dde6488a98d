"""What is wrong with limits as configured, beyond the types of single keys. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from urllib.parse import urlsplit

from switchgear.core.errors import Problem
from switchgear.core.limits import EACH, FairShare, Limit, LimitSharing
from switchgear.limits.model import Measure


def limit_problems(limits: Sequence[Limit], names: Mapping[str, Collection[str]]) -> Iterator[Problem]:
    """`names`: for `key`, `team`, `model` and `backend` those that are configured. A field whose names come from elsewhere too (teams and
    keys of an identity provider) is left out of it.
    """
    seen: dict[str, int] = {}
    for index, limit in enumerate(limits):
        path = f"limits[{index}]"
        if all(getattr(limit, measure.value) is None for measure in Measure):
            measures = ", ".join(measure.value for measure in Measure)
            yield Problem(path, f"the limit {limit.id!r} bounds nothing", f"Give it at least one of {measures}.")
        if limit.id in seen:
            remedy = f"Give one of them a name, or join it with limits[{seen[limit.id]}]."
            yield Problem(path, f"there is a limit {limit.id!r} already", remedy)
        seen.setdefault(limit.id, index)
        for field, known in names.items():
            value = getattr(limit, field)
            if value is not None and value != EACH and value not in known:
                yield Problem(f"{path}.{field}", f"there is no {field} {value!r}", _nearest(field, value, known))


def fair_share_problems(fair_share: FairShare, teams: Collection[str] | None) -> Iterator[Problem]:
    """`teams`: those that are configured; None where they come from elsewhere too."""
    for team in fair_share.weights:
        if teams is not None and team not in teams:
            yield Problem(f"fair_share.weights.{team}", f"there is no team {team!r}", _nearest("team", team, teams))


def sharing_problems(sharing: LimitSharing, limits: Sequence[Limit], workers: int) -> Iterator[Problem]:
    """`workers`: processes of this gateway."""
    path, database = "limit_sharing.database", sharing.database
    if database:
        if not database.startswith(("sqlite:///", "postgresql://", "postgres://")):
            remedy = "Use sqlite:///PATH for one host or postgresql://USER@HOST/NAME for several."
            yield Problem(path, f"{_masked(database)!r} is no database that limits can share", remedy)
        elif _has_password(database):
            remedy = "Take it out; give it by the environment variable PGPASSWORD or in a password file (PGPASSFILE)."
            yield Problem(path, "a password stands in the address", remedy)
    elif limits and workers > 1:
        remedy = 'Set database = "sqlite:///state/limits.db", or workers = 1.'
        yield Problem(path, f"{workers} workers would each admit what the limits allow for all together", remedy)
    if sharing.lease_s < 4 * sharing.sync_s:
        remedy = "Give it at least four times sync_s."
        yield Problem("limit_sharing.lease_s", "a lease this short ends before it can be renewed", remedy)


def _nearest(field: str, value: str, known: Collection[str]) -> str:
    near = get_close_matches(value, known, 1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f'Use one of {", ".join(sorted(known))}, or "*" for each.' if known else f"Configure a {field} first."


def _has_password(database: str) -> bool:
    try:
        return urlsplit(database).password is not None or "password=" in urlsplit(database).query
    except ValueError:
        return True  # unreadable: better not printed


def _masked(database: str) -> str:
    return database.partition(":")[0] + ":…" if ":" in database else database
