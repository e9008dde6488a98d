"""A scenario's file: nonsense is refused with its line and what to write instead."""

from pathlib import Path

import pytest

from switchgear.emulator.scenario import EVENTS, HeatWave
from switchgear.gateway.config import ConfigFileError
from switchgear.rehearsal.reading import parse_scenario, read_scenario

SHIPPED = sorted((Path(__file__).parents[2] / "examples" / "scenarios").glob("*.toml"))
HEAD = """name = "x"
lasts_s = 100
[devices.a]
profile = "l4"
model = "llama-3.1-8b"
labels = { room = "1" }
[devices.b]
profile = "l4"
model = "llama-3.1-8b"
[[load]]
rate_per_s = 1.0
"""


def problems(text: str) -> str:
    with pytest.raises(ConfigFileError) as refused:
        parse_scenario(text.encode(), name="s.toml")
    return str(refused.value)


def with_event(*lines: str) -> str:
    return HEAD + "[[events]]\n" + "\n".join(lines) + "\n"


def test_a_good_file_is_read() -> None:
    scenario = parse_scenario(with_event('kind = "heat_wave"', "at_s = 5", "for_s = 10", "rise_k = 3").encode())
    assert scenario.events == (HeatWave(at_s=5.0, for_s=10.0, rise_k=3.0),)
    assert [device.name for device in scenario.named()] == ["a", "b"]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_the_shipped_scenarios_are_good(file: Path) -> None:
    assert read_scenario(file).events


def test_every_kind_of_event_can_be_written() -> None:
    battery = "battery = { capacity_wh = 50.0, discharge_c_rate = 2.0 }\n[[load]]"
    for kind in EVENTS:
        text = with_event(f'kind = "{kind}"', 'on = ["b"]').replace("[[load]]", battery)
        assert parse_scenario(text.encode()).events


@pytest.mark.parametrize(
    ("lines", "line", "said"),
    [
        (['kind = "heatwave"'], 13, 'Did you mean "heat_wave"?'),
        (["at_s = 1"], 12, "has no kind"),
        (['kind = "heat_wave"', "for_s = -5"], 14, "a number above 0"),
        (['kind = "heat_wave"', "at_s = -1"], 14, "at least 0"),
        (['kind = "heat_wave"', "rise = 3"], 14, 'Did you mean "rise_k"?'),
        (['kind = "bad_firmware"', "error_ratio = 1.2"], 14, "from 0 to 1"),
        (['kind = "fan_failure"', "speed = 2"], 14, "from 0 to 1"),
        (['kind = "heat_wave"', "fraction = 0"], 14, "above 0"),
        (['kind = "heat_wave"', 'on = ["c"]'], 14, "matches no device"),
        (['kind = "heat_wave"', 'where = { room = "2" }'], 14, "Labels here: room=1"),
        (['kind = "heat_wave"', "at_s = 100"], 14, "begins at 100 s"),
        (['kind = "heat_wave"', "for_s = 10", "ramp_s = 6"], 15, "at most half"),
        (['kind = "power_cut"', "ramp_s = 6"], 14, "comes at once"),
        (['kind = "network_flap"', "period_s = 2", "down_s = 2"], 15, "never up"),
        (['kind = "network_flap"', "period_s = 0.001", "down_s = 0.0001"], 14, "longer period"),
        (['kind = "battery_run_down"'], 12, "a has no battery"),
        (['kind = "heat_wave"', 'on = ["gateway"]'], 14, "meets no heat_wave"),
        (['kind = "clock_step"', 'on = ["gateway", "a"]'], 14, "an event for each"),
        (['kind = "heat_wave"', "rise_k = inf"], 14, "rise_k"),
    ],
)
def test_events_that_make_no_sense(lines: list[str], line: int, said: str) -> None:
    told = problems(with_event(*lines))
    assert f"s.toml: line {line}," in told
    assert said in told


def test_events_that_contradict_each_other() -> None:
    first = ['kind = "fan_failure"', 'on = ["a"]', "at_s = 10", "for_s = 20", "speed = 0.1"]
    second = "[[events]]\nkind = 'fan_failure'\non = ['*']\nat_s = 29\nspeed = 0.5\n"
    told = problems(with_event(*first) + second)
    assert "line 18" in told
    assert "sets the fan speed of a while the fan_failure on line 12 does" in told
    parse_scenario((with_event(*first) + second.replace("29", "30")).encode())
    parse_scenario((with_event(*first) + second.replace("'*'", "'b'")).encode())


def test_two_ways_to_take_the_mains_contradict_each_other() -> None:
    cut = with_event('kind = "power_cut"', "at_s = 10")
    assert "sets the mains of a" in problems(cut + "[[events]]\nkind = 'planned_outage'\nat_s = 20\n")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('profile = "l4"', 'profile = "l44"', "Did you mean 'l4'?"),
        ('model = "llama-3.1-8b"', 'model = "llama-3.3-70b"', "Choose a narrower precision"),
        ("rate_per_s = 1.0", "rate_per_s = -1", "above 0"),
        ("lasts_s = 100", "lasts_s = 0", "above 0"),
        ("lasts_s = 100", "last_s = 100", 'Did you mean "lasts_s"?'),
        ("[devices.b]", "[devices.gateway]", "gateway's own name"),
        ("[devices.b]", '[devices."b/c"]', "no name for a device"),
        ("[devices.b]", "[devices.b]\ncount = 300", "through_gateway = false"),
        ("[devices.b]", "[devices.b]\ncount = 300000", "Give fewer"),
        ("[devices.b]", "[devices.b]\nbattery = { capacity_wh = 0 }", "above zero"),
        ("[devices.b]", "[devices.b]\nbattery = { capacity_wh = 5 }", "can give the board's limit"),
        ("[[load]]", "[objectives]\navailability = 99\n[[load]]", "from 0 to 1"),
        ("[[load]]", '[[load]]\nmodel = "caht"\n', ""),
        ("[[load]]", "[[load]]\nat_s = 100", "before the end"),
    ],
)
def test_other_nonsense(before: str, after: str, said: str) -> None:
    text = HEAD.replace(before, after, 1)
    if not said:
        text += '[models.chat]\ntargets = [{ backend = "a", model = "llama-3.1-8b" }]\n'
        said = 'Did you mean "chat"?'
    told = problems(text)
    assert said in told
    assert "line " in told


def test_targets_and_strategies_are_checked() -> None:
    told = problems(
        HEAD + '[models.chat]\nstrategy = "hedroom"\ntargets = [{ backend = "c*", model = "llama-3.1-8b" }]\n'
    )
    assert 'Did you mean "headroom"?' in told
    assert "names no device: 'c*'" in told


def test_a_file_that_is_not_there_or_no_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match="cannot be read"):
        read_scenario(tmp_path / "none.toml")
    assert "not valid TOML" in problems("name = ")
