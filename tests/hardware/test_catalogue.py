from pathlib import Path

import pytest

from switchgear.hardware.catalogue import model_spec, models, profile, profiles
from switchgear.hardware.errors import BadFigure, HardwareError, UnknownName
from switchgear.hardware.model import Architecture, Figure, Kind, Physics, Precision, Profile

NAMES = [
    "h100-sxm",
    "a100-sxm",
    "h200-sxm",
    "b200",
    "mi300x",
    "l4",
    "jetson-agx-orin",
    "coral-edge-tpu",
    "phone-flagship",
    "laptop",
    "cpu-server",
    "appliance",
    "cloud-api",
]


def figures(place: Profile) -> list[Figure]:
    seen: list[Figure] = []
    for view in (place.physics, place.observed):
        for name in () if view is None else view.__struct_fields__:
            value = getattr(view, name)
            seen.extend(value.values() if isinstance(value, dict) else [value])
    return seen


def test_every_place_of_the_issue_is_there() -> None:
    assert list(profiles()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_a_source_or_a_reason(name: str) -> None:
    place = profile(name)
    assert figures(place)
    for figure in figures(place):
        document, _, where = figure.source.partition(": ")
        assert len(figure.source) > 15
        assert figure.assumed or (document and where), f"{figure} names no place in a document"
        assert "://" not in figure.source


def test_nothing_about_the_anticipated_appliance_pretends_to_be_known() -> None:
    assert all(figure.assumed for figure in figures(profile("appliance")))


def test_the_cloud_is_only_seen_from_outside() -> None:
    cloud = profile("cloud")
    assert cloud.kind is Kind.CLOUD
    assert cloud.physics is None
    assert cloud.observed is not None


def test_the_coral_profile_warns() -> None:
    assert "No place for a language model" in profile("coral").note


def test_datasheet_figures_are_dense() -> None:
    """The H100's sheet says 3,958 for FP8 with sparsity; a roofline that used it would be twice too fast."""
    physics = profile("h100").physics
    assert physics is not None
    assert physics.flop_per_s[Precision.FP8].value == pytest.approx(1979e12)
    assert physics.flop_per_s[Precision.BF16].value == pytest.approx(989.5e12)


@pytest.mark.parametrize(
    ("name", "intermediate", "attention_biases", "head_norms"),
    [
        ("llama-3.1-8b", 14336, False, False),
        ("llama-3.3-70b", 28672, False, False),
        ("llama-3.2-3b", 8192, False, False),
        ("llama-3.2-1b", 8192, False, False),
        ("qwen2.5-1.5b", 8960, True, False),
        ("qwen2.5-0.5b", 4864, True, False),
        ("qwen3-32b", 25600, False, True),
    ],
)
def test_parameters_follow_from_the_shape(
    name: str, intermediate: int, attention_biases: bool, head_norms: bool
) -> None:
    """Counted from the layers as the published model code builds them; `intermediate` is of the same config.json."""
    shape = model_spec(name).architecture
    assert shape is not None
    query, key = shape.attention_heads * shape.head_dim, shape.kv_heads * shape.head_dim
    layer = shape.hidden * (2 * query + 2 * key) + 3 * shape.hidden * intermediate + 2 * shape.hidden
    layer += (query + 2 * key) * attention_biases + 2 * shape.head_dim * head_norms
    tables = shape.vocabulary * shape.hidden * (1 if shape.tied_embeddings else 2)
    assert shape.layers * layer + tables + shape.hidden == shape.parameters
    assert model_spec(name).embedding_dimensions == shape.hidden


def test_aliases_lead_to_the_model_and_never_hide_another() -> None:
    assert model_spec("llama-8b") is models()["llama-3.1-8b"]
    assert profile("h100") is profiles()["h100-sxm"]


def test_a_misspelt_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'jetson'"):
        profile("jetsn")
    with pytest.raises(UnknownName, match=r"choose one of .*llama-8b"):
        model_spec("zzz")


def test_figures_that_cannot_be_are_refused() -> None:
    with pytest.raises(BadFigure, match="not negative"):
        Figure(-1.0, "a document: a place in it")
    with pytest.raises(BadFigure, match="finite"):
        Figure(float("nan"), "a document: a place in it")
    known = profile("l4").physics
    assert known is not None
    fields = {name: getattr(known, name) for name in Physics.__struct_fields__}
    with pytest.raises(BadFigure, match=r"bandwidth_efficiency is 0\.0; give a fraction above 0"):
        Physics(**{**fields, "bandwidth_efficiency": Figure(0.0, "none", assumed=True)})
    with pytest.raises(BadFigure, match=r"compute_efficiency is 1\.5"):
        Physics(**{**fields, "compute_efficiency": Figure(1.5, "none", assumed=True)})
    with pytest.raises(BadFigure, match="memory_bytes"):
        Physics(**{**fields, "memory_bytes": Figure(0.0, "none", assumed=True)})
    with pytest.raises(BadFigure, match="layers is -1"):
        Architecture(
            parameters=10,
            layers=-1,
            hidden=1,
            attention_heads=1,
            kv_heads=1,
            head_dim=1,
            vocabulary=1,
            tied_embeddings=True,
        )
    with pytest.raises(BadFigure, match="physics or observed"):
        Profile(name="x", title="x", kind=Kind.EDGE)


OWN = """[sources]
measured = "a test of ours"
[profiles.NAME]
title = "Mine"
kind = "cloud"
[profiles.NAME.observed]
ttft_median_s = { value = TTFT, source = "measured", where = "here" }
ttft_p95_s = { value = 0.9, source = "measured", where = "here" }
decode_tokens_per_s = { value = 50.0, source = "measured", where = "here" }
requests_per_minute = { value = 60.0, source = "measured", where = "here" }
"""


def own(name: str, ttft_s: float = 0.5) -> str:
    return OWN.replace("NAME", name).replace("TTFT", str(ttft_s))


def test_a_file_of_ones_own_is_a_profile(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(own("mine"))
    for name in (str(file), f"{file}:mine"):
        found = profile(name).observed
        assert found is not None
        assert (found.ttft_median_s.value, found.ttft_median_s.source) == (0.5, "a test of ours: here")
    file.write_text(own("mine", 0.25))
    again = profile(str(file)).observed
    assert again is not None
    assert again.ttft_median_s.value == 0.25, "what was measured anew counts"


def test_a_file_that_is_no_profile_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match="cannot be read: No such file"):
        profile(str(tmp_path / "none.toml"))
    file = tmp_path / "fleet.toml"
    file.write_text('name = "a fleet"')
    with pytest.raises(HardwareError, match="write it as `switchgear profile --save` does"):
        profile(str(file))
    file.write_text(own("one") + own("two").partition('ours"\n')[2])
    with pytest.raises(HardwareError, match=r"holds 2 profiles; name one of them: .*fleet\.toml:one"):
        profile(str(file))
    with pytest.raises(UnknownName, match="two"):
        profile(f"{file}:tow")
