"""Request bodies as far as an emulated place understands them. Fields that it does not know are ignored, as vLLM does."""

import hashlib
from typing import Any, TypeVar

import msgspec

from switchgear.core.decoding import UNREADABLE
from switchgear.emulator.errors import ApiError
from switchgear.emulator.tokens import IMAGE_TOKENS, count_tokens

T = TypeVar("T", bound=msgspec.Struct)

MOST_CHOICES = 128
MOST_TOP_LOGPROBS = 20


class StreamOptions(msgspec.Struct, kw_only=True):
    include_usage: bool = False


class Body(msgspec.Struct, kw_only=True):
    """What all bodies have. `emulator_fault` is ours: faults for this request, as text, object or list."""

    model: str
    emulator_fault: Any = None


class Sampling(Body, kw_only=True):
    """What chat and text completions share. `min_tokens` and `ignore_eos` are vLLM's."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    min_tokens: int = 0
    ignore_eos: bool = False


class Message(msgspec.Struct, kw_only=True):
    role: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class ChatBody(Sampling, kw_only=True):
    """`/v1/chat/completions`. `continue_final_message` is vLLM's; here a last assistant message is continued unless it is false."""

    messages: list[Message]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None
    continue_final_message: bool | None = None


class CompletionBody(Sampling, kw_only=True):
    """`/v1/completions`."""

    prompt: str | list[Any] = ""
    logprobs: int | None = None
    echo: bool | None = None


class EmbeddingBody(Body, kw_only=True):
    """`/v1/embeddings`."""

    input: str | list[Any]
    dimensions: int | None = None
    encoding_format: str | None = None


class ResponsesBody(Body, kw_only=True):
    """`/v1/responses`."""

    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    previous_response_id: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    text: dict[str, Any] | None = None
    include: list[str] | None = None
    top_logprobs: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    parallel_tool_calls: bool | None = None
    metadata: dict[str, Any] | None = None
    seed: int | None = None
    min_tokens: int = 0
    ignore_eos: bool = False


def read(body: bytes, kind: type[T]) -> T:
    """Decode a request body. Raises ApiError (400) that names the field."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        param = path.rstrip("`").lstrip(".") or None
        raise ApiError(400, f"Invalid request: {message}.", param=param) from error
    except UNREADABLE as error:
        raise ApiError(400, f"We could not parse the JSON body of your request: {error}.") from error


class Prompt(msgspec.Struct, frozen=True):
    """A prompt as the model sees it: its text, what it counts, and the assistant's turn that it ends with, if it is to be continued."""

    text: str
    tokens: int
    prefix: str = ""


def chat_prompt(body: ChatBody, continues: bool) -> Prompt:
    """Lay out the messages. `continues`: whether this place goes on with a last message of the assistant."""
    if not body.messages:
        raise ApiError(400, "'messages' must hold at least one message.", param="messages")
    messages, prefix = body.messages, ""
    last = messages[-1]
    if last.role == "assistant" and not last.tool_calls and continues and body.continue_final_message is not False:
        prefix, _ = content_text(last.content, f"messages[{len(messages) - 1}].content")
        messages = messages[:-1]
    lines: list[str] = [f"<|tools|>\n{msgspec.json.encode(body.tools).decode()}\n"] if body.tools else []
    images = 0
    for index, message in enumerate(messages):
        text, seen = content_text(message.content, f"messages[{index}].content")
        calls = msgspec.json.encode(message.tool_calls).decode() if message.tool_calls else ""
        lines.append(f"<|{message.role}|>\n{text}{calls}\n")
        images += seen
    return Prompt(text := "".join(lines), count_tokens(text) + count_tokens(prefix) + images * IMAGE_TOKENS, prefix)


def content_text(content: str | list[dict[str, Any]] | None, param: str) -> tuple[str, int]:
    """The text of a message's content, in which other parts stand as their JSON, and how many images it holds."""
    if content is None or isinstance(content, str):
        return content or "", 0
    texts: list[str] = []
    images = 0
    for index, part in enumerate(content):
        kind = part.get("type")
        if kind in ("text", "input_text", "output_text", "refusal"):
            text = part.get("text", part.get("refusal"))
            if not isinstance(text, str):
                raise ApiError(400, "A text part needs a text.", param=f"{param}[{index}].text")
            texts.append(text)
        elif kind in ("image_url", "input_image"):
            images += 1
            texts.append(f"<image {_fingerprint(part)}>")
        else:
            texts.append(f"<{kind} {_fingerprint(part)}>")
    return "".join(texts), images


def _fingerprint(part: dict[str, Any]) -> str:
    return hashlib.blake2b(msgspec.json.encode(part, order="deterministic"), digest_size=6).hexdigest()


def completion_prompts(body: CompletionBody) -> list[Prompt]:
    """The prompts of a text completion: a string, strings, tokens (numbers), or lists of tokens."""
    return [_plain(one, "prompt") for one in _texts(body.prompt, "prompt")]


def embedding_inputs(body: EmbeddingBody) -> list[Prompt]:
    """The inputs of an embedding, in the same forms."""
    texts = _texts(body.input, "input")
    if not texts or not all(texts):
        raise ApiError(400, "'input' must not be empty.", param="input")
    return [_plain(one, "input") for one in texts]


def _texts(raw: str | list[Any], param: str) -> list[str | list[int]]:
    if isinstance(raw, str):
        return [raw]
    if all(isinstance(one, int) for one in raw):
        return [raw] if raw else []
    if all(
        isinstance(one, str) or (isinstance(one, list) and all(isinstance(token, int) for token in one)) for one in raw
    ):
        return raw
    raise ApiError(400, f"'{param}' must be a string, strings, tokens or lists of tokens.", param=param)


def _plain(one: str | list[int], param: str) -> Prompt:
    """Tokens given as numbers stand for themselves: the emulator has no vocabulary to read them with."""
    if isinstance(one, str):
        return Prompt(one, count_tokens(one))
    return Prompt(" ".join(map(str, one)), len(one))


def responses_prompt(body: ResponsesBody, continues: bool) -> Prompt:
    """Lay out the items of a `/v1/responses` input."""
    if body.previous_response_id is not None:
        raise ApiError(
            400,
            f"Previous response with id '{body.previous_response_id}' not found: this place keeps no responses.",
            param="previous_response_id",
            error_code="previous_response_not_found",
        )
    if body.input is None:
        raise ApiError(
            400, "Missing required parameter: 'input'.", param="input", error_code="missing_required_parameter"
        )
    items = [{"role": "user", "content": body.input}] if isinstance(body.input, str) else body.input
    messages = [] if body.instructions is None else [Message(role="system", content=body.instructions)]
    for index, item in enumerate(items):
        if item.get("type", "message") == "message":
            messages.append(_message(item, index))
        else:  # calls, their outputs, references: they count as their JSON
            messages.append(Message(role=str(item["type"]), content=msgspec.json.encode(item).decode()))
    return chat_prompt(ChatBody(model=body.model, messages=messages, tools=body.tools), continues)


def _message(item: dict[str, Any], index: int) -> Message:
    try:
        return msgspec.convert({"role": item.get("role"), "content": item.get("content")}, Message)
    except msgspec.ValidationError as error:
        raise ApiError(400, f"Invalid request: {error}.", param=f"input[{index}]") from error


def stops(body: Sampling) -> tuple[str, ...]:
    """The stop sequences, none of them empty."""
    raw = [] if body.stop is None else [body.stop] if isinstance(body.stop, str) else body.stop
    return tuple(stop for stop in raw if stop)


def choices(body: Sampling) -> int:
    """How many answers are wanted."""
    count = 1 if body.n is None else body.n
    if not 1 <= count <= MOST_CHOICES:
        raise ApiError(400, f"'n' must be from 1 to {MOST_CHOICES}.", param="n")
    return count


def limit(value: int | None, param: str) -> int | None:
    """A limit of tokens, or None. Raises ApiError where it is below 1."""
    if value is not None and value < 1:
        raise ApiError(400, f"'{param}' must be at least 1.", param=param)
    return value
