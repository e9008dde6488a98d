"""What is made for a schema validates against it, as a validator of another house sees it."""

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.emulator.errors import ApiError
from switchgear.emulator.schema import instance
from switchgear.emulator.text import Draws

bounds = st.tuples(st.integers(-50, 50), st.integers(0, 40))
leaves: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.builds(lambda b: {"type": "integer", "minimum": b[0], "maximum": b[0] + b[1]}, bounds),
    st.builds(lambda b: {"type": "integer", "exclusiveMinimum": b[0]}, bounds),
    st.builds(lambda b: {"type": "number", "minimum": b[0] / 8, "maximum": (b[0] + b[1]) / 8}, bounds),
    st.builds(
        lambda b: {"type": "number", "exclusiveMinimum": b[0] / 8, "exclusiveMaximum": (b[0] + b[1] + 1) / 8}, bounds
    ),
    st.builds(lambda b: {"type": "integer", "exclusiveMaximum": b[0], "minimum": b[0] - 1 - b[1]}, bounds),
    st.builds(lambda b: {"type": "integer", "maximum": b[0], "multipleOf": 1 + b[1]}, bounds),
    st.builds(lambda b: {"type": "string", "minLength": b[1], "maxLength": b[1] + 3}, bounds),
    st.builds(
        lambda f: {"type": "string", "format": f}, st.sampled_from(["date", "date-time", "email", "uuid", "uri"])
    ),
    st.builds(lambda e: {"enum": e}, st.lists(st.one_of(st.integers(), st.text(max_size=5)), min_size=1, max_size=4)),
    st.builds(lambda c: {"const": c}, st.integers()),
    st.just({"type": ["string", "null"]}),
)


def grown(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    keys = st.dictionaries(st.sampled_from("abcd"), inner, min_size=1, max_size=4)
    return st.one_of(
        st.builds(
            lambda p, closed: {
                "type": "object",
                "properties": p,
                "required": sorted(p),
                "additionalProperties": not closed,
            },
            keys,
            st.booleans(),
        ),
        st.builds(lambda p: {"type": "object", "properties": p, "required": ["z"]}, keys),
        st.builds(
            lambda i, n: {"type": "array", "items": i, "minItems": n, "maxItems": n + 2}, inner, st.integers(0, 3)
        ),
        st.builds(lambda a: {"anyOf": a}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda p, q: {"allOf": [{"type": "object", "properties": p}, {"properties": q, "required": sorted(q)}]},
            keys,
            st.dictionaries(st.sampled_from("pq"), inner, min_size=1),
        ),
    )


@given(st.recursive(leaves, grown, max_leaves=8), st.integers(0, 3))
def test_an_instance_is_valid(schema: dict[str, Any], seed: int) -> None:
    made = instance(schema, Draws("test", str(seed)), "tools")
    jsonschema.Draft202012Validator(schema).validate(made)


def test_references_and_their_nesting() -> None:
    schema = {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["name", "next"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/node",
    }
    jsonschema.validate(instance(schema, Draws("node"), "tools"), schema)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "string", "pattern": "^a+$"}, "does not understand 'pattern'"),
        ({"$ref": "https://example.com/schema"}, "not local"),
        ({"$ref": "#/$defs/missing"}, "leads nowhere"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "holds no number"),
        ({"type": "object", "properties": {"a": False}}, "allows nothing"),
        ({"type": "thing"}, "type 'thing' is unknown"),
        ({"$ref": "#"}, "nests without end"),
        ({"type": "array", "items": {"enum": [1]}, "minItems": 2, "uniqueItems": True}, "more different items"),
        ({"type": "array", "minItems": 1_000_000_000}, "more than 20,000 values"),
        ({"type": "object", "minProperties": 1_000_000_000}, "more than 20,000 values"),
        ({"type": "object", "properties": {letter: {"$ref": "#"} for letter in "abcdefgh"}}, "more than 20,000 values"),
        ({"type": "string", "minLength": 1_000_000_000}, "more than 100,000 characters"),
        ({"enum": []}, "no JSON schema"),
        ({"anyOf": []}, "no JSON schema"),
        ({"type": "integer", "multipleOf": 0}, "no JSON schema"),
        ({"type": "integer", "minimum": 10**400}, "no JSON schema"),
        ({"properties": 5}, "no JSON schema"),
        ({"type": "object", "properties": {"a": {"type": "string", "maxLength": "x"}}}, "no JSON schema"),
        ("x", "no JSON schema"),
    ],
)
def test_what_it_cannot_answer_is_refused_by_name(schema: Any, reason: str) -> None:
    with pytest.raises(ApiError, match=reason) as caught:
        instance(schema, Draws("refuse"), "response_format")
    assert caught.value.status == 400
    assert caught.value.param == "response_format"
