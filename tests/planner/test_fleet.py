"""Fleets: files, and what cannot be."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.docs.pages import ROOT
from tests.planner.fleets import cloud, fleet, onprem

from switchgear.core.data_class import DataClass
from switchgear.core.snapshot import Kind
from switchgear.hardware import catalogue
from switchgear.hardware.errors import UnknownName
from switchgear.hardware.model import unknown
from switchgear.hardware.power import PowerModel
from switchgear.planner.errors import BadFleet
from switchgear.planner.fleet import Fault, Fleet, Trouble, read_fleet
from switchgear.planner.fleet_physics import sites_of, sources
from switchgear.profiling.saving import toml

FILE = """
model = "llama-8b"
[[places]]
name = "floor"
kind = "onprem"
profile = "h100-sxm"
"""


def test_the_example_can_be_read() -> None:
    got = read_fleet(ROOT / "examples" / "fleet.toml")
    assert [place.name for place in got.places] == ["floor", "cloud"]
    assert [place.allowed for place in got.places] == [DataClass.RESTRICTED, DataClass.INTERNAL]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "`model`"),
        ('model = "llama-8b"\nplaces = []\n', "has no place"),
        (FILE + "unit = 3\n", "unknown field `unit`"),
        (FILE + "units = 0\n", ">= 1"),
        (FILE + "units = -2\n", ">= 1"),
        (FILE + "weak_units = 2\n", "2 weak units of 1"),
        (FILE + FILE.partition("\n[[")[2].join(["[[", ""]), "two places of one name"),
        (FILE + "prices = { input_usd_per_mtok = -1.0, output_usd_per_mtok = 1.0 }\n", ">= 0"),
        (FILE + 'faults = [{ kind = "outage", start_s = 0.0, lasts_s = 5.0, every_s = 5.0 }]\n', "never ends"),
        (FILE + 'faults = [{ kind = "outage", start_s = 0.0, lasts_s = 5.0, units = 9 }]\n', "9 units of 1"),
        (FILE + "weight = inf\n", "places[0].weight is inf. Give a finite number"),
        (FILE + f"max_batch = {10**30}\n", "places[0].max_batch is 1000"),
        (
            FILE + "link = { latency_s = 1e308, bandwidth_bytes_per_s = 1e8, loss = 0.01 }\n",
            "places[0].link.latency_s is 1e+308",
        ),
        ("model =", "no TOML"),
        (f"model = {'9' * 5000}", "no TOML"),
        ('model = "\udcff"\n', "no TOML"),  # a byte that is no UTF-8
    ],
)
def test_what_is_wrong_in_a_file_is_said(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(text, errors="surrogateescape")
    with pytest.raises(BadFleet) as refused:
        read_fleet(file)
    assert said in str(refused.value)
    assert str(file) in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"profile": "h100-sxm", "model": "gpt-x"}, "only known from outside"),
        ({"profile": "l4", "model": "llama-70b"}, "choose a narrower precision"),
        ({"profile": "cloud-api", "model": "llama-8b"}, "profile is that of a cloud"),
        ({"profile": "cloud-api", "model": "llama-8b", "units": 2}, "leave units"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: dict[str, Any], said: str) -> None:
    model = settings.pop("model")
    with pytest.raises(BadFleet, match=said):
        sites_of(fleet(onprem(**settings), model=model))


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="h100"):
        sites_of(fleet(onprem(profile="h100-sxn")))
    with pytest.raises(BadFleet, match="has no place 'roof'; it has floor"):
        fleet(onprem()).place("roof")


def test_a_place_can_be_replaced() -> None:
    before = fleet(onprem(), cloud())
    after = before.with_place(onprem(units=7))
    assert [place.units for place in after.places] == [7, 1]
    assert isinstance(after, Fleet)
    assert (
        onprem(kind=Kind.CLOUD, faults=(Fault(kind=Trouble.SLOW, start_s=0, lasts_s=1),)).allowed is DataClass.INTERNAL
    )


def test_a_measured_profile_stands_in_a_fleet(tmp_path: Path) -> None:
    """What nobody measured is asked for, by name, and never taken as zero."""
    shipped = catalogue.profile("l4")
    assert shipped.physics is not None
    why = "nobody looked"
    physics = msgspec.structs.replace(shipped.physics, tdp_w=unknown(why), idle_w=unknown(why))
    file = tmp_path / "mine.toml"
    file.write_text(toml(msgspec.structs.replace(shipped, name="mine", physics=physics), "a test of ours"))
    with pytest.raises(
        BadFleet, match=r"'floor': its profile does not know what a device draws; state tdp_w and idle_w"
    ):
        sites_of(fleet(onprem(profile=str(file))))
    power = PowerModel(idle_w=16, arithmetic_w=50, memory_w=30, limit_w=72)
    stated = fleet(onprem(profile=str(file), power=power))
    (site,), (known,) = sites_of(stated), sites_of(fleet(onprem(profile="l4")))
    assert site.cost == known.cost
    assert sources(stated)["floor.mine.tdp_w"] == "unknown (nobody looked)"
