"""From a request's body to the work that it makes: the answer in its shape, and the sequences for the engine. Pure."""

from dataclasses import dataclass

from switchgear.emulator.answer import Answer, Origin, chat_answer, completion_answer, responses_answer
from switchgear.emulator.behaviour import Behaviour
from switchgear.emulator.chat import ChatWriter
from switchgear.emulator.completions import CompletionWriter
from switchgear.emulator.embeddings import EmbeddingWriter, check
from switchgear.emulator.errors import ApiError
from switchgear.emulator.requests import (
    MOST_TOP_LOGPROBS,
    Body,
    ChatBody,
    CompletionBody,
    EmbeddingBody,
    ResponsesBody,
    Sampling,
    chat_prompt,
    choices,
    completion_prompts,
    embedding_inputs,
    responses_prompt,
)
from switchgear.emulator.responses import ResponsesWriter
from switchgear.emulator.shapes import WholeWriter, Writer

ENDPOINTS: dict[str, tuple[str, type[Body]]] = {
    "/v1/chat/completions": ("chatcmpl-", ChatBody),
    "/v1/completions": ("cmpl-", CompletionBody),
    "/v1/embeddings": ("embd-", EmbeddingBody),
    "/v1/responses": ("resp_", ResponsesBody),
}
"""The prefix of an answer's id, and the body, by path."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be sent, and what the engine must do for it: prompt and output tokens of each sequence."""

    writer: WholeWriter
    streamed: Writer | None
    """The same writer where the caller asked for a stream."""
    prompt_tokens: int
    sequences: list[tuple[int, int]]


def prepare(body: Body, origin: Origin, behaviour: Behaviour, *, continues: bool, dimensions: int) -> Job:
    """Decide the answer. `dimensions`: the length of the model's embeddings. Raises ApiError."""
    match body:
        case ChatBody():
            return _chat(body, origin, behaviour, continues)
        case CompletionBody():
            return _completion(body, origin, behaviour)
        case ResponsesBody():
            return _responses(body, origin, behaviour, continues)
        case EmbeddingBody():
            return _embedding(body, origin, behaviour, dimensions)
    raise TypeError(f"no job for {type(body).__name__}")


def _chat(body: ChatBody, origin: Origin, behaviour: Behaviour, continues: bool) -> Job:
    prompt = chat_prompt(body, continues)
    writer = ChatWriter(
        _filtered(chat_answer(body, prompt, origin), behaviour),
        top_logprobs=_top(body.top_logprobs) if body.logprobs else None,
        include_usage=_include_usage(body),
        report_usage=behaviour.report_usage,
    )
    return _job(writer, bool(body.stream), [prompt.tokens] * choices(body))


def _completion(body: CompletionBody, origin: Origin, behaviour: Behaviour) -> Job:
    prompts = completion_prompts(body)
    count = choices(body)
    writer = CompletionWriter(
        _filtered(completion_answer(body, prompts, origin), behaviour),
        echoes=[prompt.text if body.echo else "" for prompt in prompts for _ in range(count)],
        logprobs=_top(body.logprobs),
        include_usage=_include_usage(body),
        report_usage=behaviour.report_usage,
    )
    return _job(writer, bool(body.stream), [prompt.tokens for prompt in prompts for _ in range(count)])


def _responses(body: ResponsesBody, origin: Origin, behaviour: Behaviour, continues: bool) -> Job:
    prompt = responses_prompt(body, continues)
    scored = "message.output_text.logprobs" in (body.include or ())
    writer = ResponsesWriter(
        _filtered(responses_answer(body, prompt, origin), behaviour),
        body,
        top_logprobs=_top(body.top_logprobs) or 0 if scored else None,
        report_usage=behaviour.report_usage,
    )
    return _job(writer, bool(body.stream), [prompt.tokens])


def _embedding(body: EmbeddingBody, origin: Origin, behaviour: Behaviour, dimensions: int) -> Job:
    length = check(body, dimensions)
    inputs = embedding_inputs(body)
    for one in inputs:
        if one.tokens > origin.window_tokens:
            raise ApiError(
                400,
                f"This model's maximum context length is {origin.window_tokens} tokens, however you requested {one.tokens} tokens.",
                param="input",
                error_code="context_length_exceeded",
            )
    answer = origin.answer(sum(one.tokens for one in inputs), [])
    writer = EmbeddingWriter(answer, body, inputs, length, report_usage=behaviour.report_usage)
    return Job(writer, None, answer.prompt_tokens, [(one.tokens, 0) for one in inputs])


def _job(writer: Writer, stream: bool, prompts: list[int]) -> Job:
    answer = writer.answer
    sequences = [(tokens, len(choice.tokens)) for tokens, choice in zip(prompts, answer.choices, strict=True)]
    return Job(writer, writer if stream else None, answer.prompt_tokens, sequences)


def _filtered(answer: Answer, behaviour: Behaviour) -> Answer:
    return answer if behaviour.filter_after is None else answer.filtered(behaviour.filter_after)


def _include_usage(body: Sampling) -> bool:
    return body.stream_options is not None and body.stream_options.include_usage


def _top(count: int | None) -> int | None:
    if count is not None and not 0 <= count <= MOST_TOP_LOGPROBS:
        raise ApiError(400, f"'top_logprobs' must be from 0 to {MOST_TOP_LOGPROBS}.", param="top_logprobs")
    return count
