"""The kinds of assumption: unit and range of each, for reading files and for the formulas.

A field's name ends with its unit; the annotation here says the same to the program, with the range in which a value makes sense
and the remedy where it does not.
"""

from typing import Annotated, Any, TypeAlias

from msgspec import Meta

from switchgear.planner.money_given import Given


def _kind(unit: str, low: float = 0.0, high: float | None = None, *, above: bool = False, hint: str = "") -> Any:
    """Metadata of a field: its unit, its range (`above`: `low` itself is outside), and the remedy for a value out of range."""
    return Meta(extra={"unit": unit, "low": low, "high": high, "above": above, "hint": hint})


_AS_FRACTION = "Write a fraction: 0.08 for 8 %."

Usd: TypeAlias = Annotated[float | Given, _kind("USD")]
UsdPerUnit: TypeAlias = Annotated[float | Given, _kind("USD/unit")]
UsdPerUnitYear: TypeAlias = Annotated[float | Given, _kind("USD/unit/year")]
UsdPerUnitMonth: TypeAlias = Annotated[float | Given, _kind("USD/unit/month")]
UsdPerUnitHour: TypeAlias = Annotated[float | Given, _kind("USD/unit/h")]
UsdPerMonth: TypeAlias = Annotated[float | Given, _kind("USD/month")]
UsdPerMtok: TypeAlias = Annotated[float | Given, _kind("USD/Mtok")]
UsdPerCall: TypeAlias = Annotated[float | Given, _kind("USD/call")]
UsdPerGb: TypeAlias = Annotated[float | Given, _kind("USD/GB")]
UsdPerKwh: TypeAlias = Annotated[
    float | Given, _kind("USD/kWh", high=5.0, hint="Write dollars for each kilowatt-hour: 0.15, not 15 cents.")
]
UsdPerKwMonth: TypeAlias = Annotated[float | Given, _kind("USD/kW/month")]
UsdPerFteYear: TypeAlias = Annotated[float | Given, _kind("USD/FTE/year")]
UsdPerHour: TypeAlias = Annotated[float | Given, _kind("USD/h")]
UsdPerRackUnitMonth: TypeAlias = Annotated[float | Given, _kind("USD/RU/month")]
RackUnits: TypeAlias = Annotated[float | Given, _kind("RU/unit")]
Kw: TypeAlias = Annotated[
    float | Given, _kind("kW/unit", high=500.0, hint="Write kilowatts of one unit: 0.7, not 700 watts.")
]
PositiveKw: TypeAlias = Annotated[
    float | Given, _kind("kW/unit", high=500.0, above=True, hint="Write kilowatts of one unit: 0.7, not 700 watts.")
]
TokensPerSecond: TypeAlias = Annotated[
    float | Given, _kind("token/s/unit", above=True, hint="A unit that serves nothing cannot be compared.")
]
CallsPerMonth: TypeAlias = Annotated[
    float | Given, _kind("call/month", above=True, hint="Without calls there is no cost per call.")
]
TokensPerCall: TypeAlias = Annotated[float | Given, _kind("token/call")]
BytesPerCall: TypeAlias = Annotated[float | Given, _kind("B/call")]
Hours: TypeAlias = Annotated[float | Given, _kind("h")]
Fte: TypeAlias = Annotated[float | Given, _kind("FTE")]
Share: TypeAlias = Annotated[
    float | Given, _kind("", high=1.0, hint="A share lies between 0 and 1; write 0.3 for 30 %.")
]
SharePerYear: TypeAlias = Annotated[float | Given, _kind("", high=1.0, hint=_AS_FRACTION)]
Rate: TypeAlias = Annotated[
    float | Given, _kind("", low=-0.5, high=1.0, hint=f"Above 1 it reads as more than 100 % a year. {_AS_FRACTION}")
]
Change: TypeAlias = Annotated[
    float | Given, _kind("", low=-0.95, high=10.0, hint="A change a year: -0.2 falls by 20 %, 2 is times three.")
]
Pue: TypeAlias = Annotated[
    float | Given, _kind("", low=1.0, high=5.0, hint="PUE is total over IT energy (ISO/IEC 30134-2): 1.0 or more.")
]
Efficiency: TypeAlias = Annotated[
    float | Given,
    _kind(
        "", high=1.0, above=True, hint="An efficiency lies above 0 and is at most 1; zero would need endless energy."
    ),
]
PeakToMean: TypeAlias = Annotated[
    float | Given, _kind("", low=1.0, high=1000.0, hint="The peak is at least the mean: 1.0 or more.")
]
