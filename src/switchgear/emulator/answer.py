"""What a place will answer, decided whole before the first token is due. Streamed or not, it is the same answer and counts the same."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec

from switchgear.emulator.errors import ApiError, context_length_exceeded
from switchgear.emulator.requests import ChatBody, CompletionBody, Prompt, ResponsesBody, choices, limit, stops
from switchgear.emulator.schema import instance
from switchgear.emulator.text import Draws, go_on, say
from switchgear.emulator.tokens import tokenize


class ToolCall(NamedTuple):
    """A call of a function; the tokens of the choice are its arguments."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the answers to one prompt."""

    index: int
    tokens: tuple[str, ...]
    finish_reason: str
    call: ToolCall | None = None

    @property
    def text(self) -> str:
        return "".join(self.tokens)


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything that a response says but its shape. `created_s`: seconds since the epoch."""

    id: str
    created_s: int
    model: str
    prompt_tokens: int
    choices: tuple[Choice, ...]

    @property
    def completion_tokens(self) -> int:
        return sum(len(choice.tokens) for choice in self.choices)

    def filtered(self, after_tokens: int) -> "Answer":
        """The same answer, ended by a content filter after `after_tokens` of each choice."""
        return replace(
            self,
            choices=tuple(
                replace(choice, tokens=choice.tokens[:after_tokens], finish_reason="content_filter")
                for choice in self.choices
            ),
        )


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an answer comes from: its id, time, the model's name as served, and the longest sequence that it takes."""

    id: str
    created_s: int
    model: str
    window_tokens: int

    def answer(self, prompt_tokens: int, chosen: list[Choice]) -> Answer:
        return Answer(self.id, self.created_s, self.model, prompt_tokens, tuple(chosen))


@dataclass(frozen=True, slots=True)
class _Want:
    """How an answer is to be spoken and cut."""

    model: str
    room_tokens: int
    seed: int
    stops: tuple[str, ...]
    min_tokens: int
    ignore_eos: bool

    @property
    def at_least_tokens(self) -> int:
        return self.room_tokens if self.ignore_eos else min(self.min_tokens, self.room_tokens)

    def speak(self, prompt: Prompt, choice: int) -> str:
        least, seed = self.at_least_tokens, self.seed
        if prompt.prefix:
            return go_on(self.model, prompt.text, prompt.prefix, seed=seed, choice=choice, at_least_tokens=least)
        return say(self.model, prompt.text, seed=seed, choice=choice, at_least_tokens=least)

    def cut(self, text: str) -> tuple[tuple[str, ...], str]:
        """The tokens that are sent and why they end."""
        found = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        tokens = tokenize(text[: min(found)] if found else text)
        if len(tokens) > self.room_tokens or (self.ignore_eos and not found):
            return tuple(tokens[: self.room_tokens]), "length"
        return tuple(tokens), "stop"


def _room(origin: Origin, prompt_tokens: int, wanted: int | None, param: str) -> int:
    """How many tokens the answer may have. Raises ApiError where the model's window is too short."""
    left = origin.window_tokens - prompt_tokens
    if left < (wanted or 1):
        raise context_length_exceeded(origin.window_tokens, prompt_tokens, wanted or 1, param)
    return wanted or left


def chat_answer(body: ChatBody, prompt: Prompt, origin: Origin) -> Answer:
    """The answer to a chat. Raises ApiError."""
    wanted = limit(body.max_completion_tokens, "max_completion_tokens") or limit(body.max_tokens, "max_tokens")
    room = _room(origin, prompt.tokens, wanted, "messages")
    want = _Want(origin.model, room, body.seed or 0, stops(body), body.min_tokens, body.ignore_eos)
    json_schema = _json_schema(body.response_format, "response_format")
    tool = _tool(_functions(body.tools), body.tool_choice, Draws("tool", origin.model, prompt.text))
    made = [_choice(want, prompt, index, origin.id, tool, json_schema) for index in range(choices(body))]
    return origin.answer(prompt.tokens, made)


def responses_answer(body: ResponsesBody, prompt: Prompt, origin: Origin) -> Answer:
    """The answer of `/v1/responses`. Raises ApiError."""
    room = _room(origin, prompt.tokens, limit(body.max_output_tokens, "max_output_tokens"), "input")
    want = _Want(origin.model, room, body.seed or 0, (), body.min_tokens, body.ignore_eos)
    text_format = (body.text or {}).get("format")
    schema = text_format if not isinstance(text_format, dict) else _responses_format(text_format)
    json_schema = _json_schema(schema, "text.format")
    tool = _tool(_functions(body.tools), body.tool_choice, Draws("tool", origin.model, prompt.text))
    return origin.answer(prompt.tokens, [_choice(want, prompt, 0, origin.id, tool, json_schema)])


def completion_answer(body: CompletionBody, prompts: list[Prompt], origin: Origin) -> Answer:
    """The answer to text completions: `n` choices for each prompt, in order. Raises ApiError."""
    count = choices(body)
    made: list[Choice] = []
    for prompt in prompts:
        room = _room(origin, prompt.tokens, limit(body.max_tokens, "max_tokens") or 16, "prompt")
        want = _Want(origin.model, room, body.seed or 0, stops(body), body.min_tokens, body.ignore_eos)
        first = len(made)
        made.extend(_choice(want, prompt, first + voice, origin.id, None, None, voice) for voice in range(count))
    return origin.answer(sum(prompt.tokens for prompt in prompts), made)


def _choice(
    want: _Want,
    prompt: Prompt,
    index: int,
    answer_id: str,
    tool: dict[str, Any] | None,
    json_schema: Any,
    voice: int | None = None,
) -> Choice:
    """`voice` tells the answers to one prompt apart; it is `index` where there is one prompt."""
    voice = index if voice is None else voice
    draws = Draws("json", want.model, prompt.text, str(want.seed), str(voice))
    if tool is not None:
        arguments = _json(instance(tool.get("parameters") or {"type": "object"}, draws, "tools"))
        tokens, reason = want.cut(arguments)
        call = ToolCall(f"call_{answer_id[-20:]}{index}", tool["name"])
        return Choice(index, tokens, "tool_calls" if reason == "stop" else reason, call)
    if json_schema is not None:
        own = _json(instance(json_schema, draws, "response_format"))
        tokens, reason = want.cut(own.removeprefix(prompt.prefix))
        return Choice(index, tokens, reason)
    tokens, reason = want.cut(want.speak(prompt, voice))
    return Choice(index, tokens, reason)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _functions(tools: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The functions among the tools; chat nests them under `function`, responses do not."""
    functions = [tool.get("function", tool) for tool in tools or () if tool.get("type") == "function"]
    for index, function in enumerate(functions):
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise ApiError(400, "A function needs a name.", param=f"tools[{index}].function.name")
    return functions


def _tool(functions: list[dict[str, Any]], choice: Any, draws: Draws) -> dict[str, Any] | None:
    """The function that `tool_choice` forces. Left to itself ("auto") an emulated model answers in words."""
    if choice == "required":
        if not functions:
            raise ApiError(400, "tool_choice 'required' needs tools.", param="tool_choice")
        return functions[draws.below(len(functions))]
    if not isinstance(choice, dict) or choice.get("type") != "function":
        return None
    name = choice.get("function", choice).get("name")
    for function in functions:
        if function["name"] == name:
            return function
    raise ApiError(400, f"tool_choice names {name!r}, which is not among the tools.", param="tool_choice")


def _responses_format(text_format: dict[str, Any]) -> dict[str, Any]:
    """`text.format` has the schema's fields at its own level."""
    if text_format.get("type") == "json_schema":
        return {"type": "json_schema", "json_schema": text_format}
    return text_format


def _json_schema(wanted: dict[str, Any] | None, param: str) -> Any:
    """The schema that the answer must follow, or None for words."""
    kind = (wanted or {}).get("type", "text")
    if wanted is None or kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}, "certain": {"type": "boolean"}}}
    if kind == "json_schema":
        schema = (wanted.get("json_schema") or {}).get("schema")
        if isinstance(schema, dict):
            return schema
        raise ApiError(400, f"Missing required parameter: '{param}.json_schema.schema'.", param=param)
    raise ApiError(400, f"Invalid value for {param}.type: {kind!r}.", param=f"{param}.type")
