"""What the gateway's own admission says of a planned call: its principal and standing, its data class, and the reach that follows."""

from collections.abc import Sequence

from switchgear.core.authorization import Purpose
from switchgear.core.data_class import DataClass
from switchgear.gateway.table import Admission, Route, Table, Target
from switchgear.identity.model import Principal, PrincipalKind
from switchgear.planner.errors import BadFleet
from switchgear.planner.fleet import Fleet
from switchgear.planner.simulate_arrays import FORBIDDEN, NO_CANDIDATE
from switchgear.planner.simulate_model import PolicyGroup
from switchgear.planner.workload import Caller

_PURPOSES = (Purpose.FIRST, Purpose.FALLBACK, Purpose.RETRY, Purpose.RESCUE)
"""Of the attempts that are simulated."""


class Admissions:
    """One for each group of calls, made when the group is first seen."""

    def __init__(self, fleet: Fleet, table: Table) -> None:
        self.made: list[Admission] = []
        self._fleet = fleet
        self._table = table
        self._callers: list[tuple[str, str]] = []
        self._principals: dict[tuple[str, str], Principal] = {}
        self._groups: dict[tuple[Principal, str, DataClass | None], int] = {}
        if not fleet.has_policies:
            for one in DataClass:
                self.made.append(self._by_class(one))

    def group(self, caller: Caller, data_class: DataClass) -> int:
        """The number of a call's group. Raises BadFleet where the fleet does not say who calls or what is called."""
        if not self._fleet.has_policies:
            return data_class.rank
        principal, route = self._principal(caller), self._route(caller)
        declared = data_class if caller.class_told else None
        key = (principal, route.name, declared)
        if key not in self._groups:
            self._groups[key] = len(self.made)
            self.made.append(self._table.admission(principal, route, (declared,)))
            self._callers.append((principal.name, principal.team))
        return self._groups[key]

    def row(self, group: int) -> Sequence[int]:
        """Columns of `planner.admitting`."""
        admission = self.made[group]
        may = self._mask(admission, admission.targets)
        reach = admission.reach
        if reach is None:
            return (may, may, may, may, may, 0, NO_CANDIDATE)
        masks = (self._mask(admission, reach.allowed[purpose]) for purpose in _PURPOSES)
        return (may, *masks, int(not reach.uniform), FORBIDDEN)

    def describe(self, group: int, calls: int) -> PolicyGroup:
        """What was decided, in words."""
        admission, (principal, team) = self.made[group], self._callers[group]
        reach = admission.reach
        allowed = [set(reach.allowed[purpose]) for purpose in _PURPOSES] if reach is not None else []
        return PolicyGroup(
            principal=principal,
            team=team,
            model=admission.route.name,
            data_class=admission.class_word,
            calls=calls,
            places=[target.backend_name for target in admission.targets],
            ruled_out={out.backend: out.reason for out in admission.ruled_out},
            by_purpose=bool(admission.targets) and any(one != allowed[0] for one in allowed),
        )

    def _by_class(self, data_class: DataClass) -> Admission:
        route = next(iter(self._table.routes.values()))
        places = zip(route.targets, self._fleet.places, strict=True)
        targets = tuple(target for target, place in places if place.allowed.rank >= data_class.rank)
        return Admission(route, data_class, data_class.value, None, targets, ())

    def _mask(self, admission: Admission, targets: Sequence[Target]) -> int:
        return sum(1 << index for index, target in enumerate(admission.route.targets) if target in targets)

    def _route(self, caller: Caller) -> Route:
        routes, default = self._table.routes, self._fleet.caller
        name = caller.model or (default.model if default is not None else "")
        if not name and len(routes) == 1:
            return next(iter(routes.values()))
        route = routes.get(name)
        if route is None:
            called = f"calls of the model {name!r}" if name else "calls that do not say which model they name"
            raise BadFleet(
                f"fleet {self._fleet.name!r} has policies and gets {called}, and knows {', '.join(routes)}; "
                f"add [models.{name or 'NAME'}] with its labels to the fleet's file{'' if name else ', and model to [caller]'}"
            )
        return route

    def _principal(self, caller: Caller) -> Principal:
        fleet = self._fleet
        name = caller.principal or (fleet.caller.name if fleet.caller is not None else "")
        if not name:
            raise BadFleet(
                f"fleet {fleet.name!r} has policies, and the calls do not say who makes them; "
                "add [caller] with name, team and roles to the fleet's file"
            )
        said = fleet.principals_known.get(name)
        team = caller.team or (said.team if said is not None else "")
        found = self._principals.get((name, team))
        if found is None:
            found = self._principals[name, team] = Principal(
                kind=PrincipalKind.KEY,
                name=name,
                team=team,
                roles=tuple(sorted(set(said.roles))) if said is not None else (),
                data_class=said.data_class if said is not None else None,
            )
        return found
