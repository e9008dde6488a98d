"""Calls for sketches to be made of, from the labelled set of the content screen."""

import itertools
import json
import random
from functools import cache
from typing import Any

import msgspec
from tests.policy.labelled import Sample, samples

from switchgear.core.record import VERSION, Attempt, AttemptKind, Outcome, Record
from switchgear.core.screening import Detector
from switchgear.core.sketching import SketchWhen
from switchgear.policy.detect import Detectors
from switchgear.sketches.make import Maker
from switchgear.sketches.model import Job, Sketch

PNG = "iVBORw0KGgoAAAANSUhEUgAAAoAAAAHgCAIAAAC6s0uzAAAA" + "A" * 400
"""The head of a PNG of 640 x 480."""


@cache
def detectors() -> Detectors:
    return Detectors(frozenset(Detector))


@cache
def labelled() -> list[Sample]:
    return list(samples())


def maker(seed: int = 1) -> Maker:
    """Makes the same sketches of the same calls."""
    return Maker(detectors(), random.Random(seed).randbytes)


def record(**changes: Any) -> Record:
    attempt = Attempt("place", "m", AttemptKind.FIRST, 0.0, error="upstream_status")
    made = Record(
        VERSION,
        "call_00000000001",
        1_763_700_000.0,
        "h/0",
        "s",
        "chat/completions",
        model="chat",
        attempts=[attempt],
        outcome=Outcome.FAILED,
        status=502,
        error="upstream_error",
    )
    return msgspec.structs.replace(made, **changes)


def job(body: dict[str, Any], **changes: Any) -> Job:
    fields = msgspec.json.decode(json.dumps(body), type=dict[str, msgspec.Raw])
    changes = {"streamed": body.get("stream") is True, **changes}
    return Job(SketchWhen.FAILED, {name: bytes(raw) for name, raw in fields.items()}, record(**changes))


def sketched(body: dict[str, Any], seed: int = 1, **changes: Any) -> Sketch:
    return maker(seed).sketch(job(body, **changes))


def body_of(sketch: Sketch) -> Any:
    return json.loads(sketch.body)


def rich(text: str, other: str = "Where is my parcel?") -> dict[str, Any]:
    """A call with everything that may hold text."""
    arguments = json.dumps({"customer_note": text, "order_total": 48213, "urgent": True})
    schema = {
        "type": "object",
        "title": other,
        "properties": {
            "customer_note": {"type": "string", "description": text, "enum": [text, other], "pattern": "^Xanadu.*$"},
            "order_total": {"type": "integer", "minimum": 0},
            "inner": {"$ref": "#/$defs/Parcel"},
        },
        "required": ["customer_note"],
        "$defs": {"Parcel": {"type": "object", "properties": {"weight": {"type": "number", "default": 77.25}}}},
    }
    return {
        "model": "chat",
        "temperature": 0.7,
        "max_tokens": 16,
        "stop": [other],
        "user": text[:64],
        "metadata": {"ticket": other, "origin": text},
        "messages": [
            {"role": "system", "content": f"Answer in the language of Northwind. {other}"},
            {
                "role": "user",
                "name": "Annabelle",
                "content": [
                    {"type": "text", "text": text},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_Zanzibar77",
                        "type": "function",
                        "function": {"name": "refund_parcel", "arguments": arguments},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_Zanzibar77", "content": f"declined: {text}"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "refund_parcel", "description": other, "parameters": schema}}
        ],
        "vendor_extension": {"customer_segment": text},
    }


def strings(value: Any) -> list[str]:
    """Every string and number of a JSON value, keys too."""
    if isinstance(value, dict):
        return [*value, *itertools.chain.from_iterable(map(strings, value.values()))]
    if isinstance(value, list):
        return [text for one in value for text in strings(one)]
    return [value] if isinstance(value, str) else [] if value is None or isinstance(value, bool) else [repr(value)]
