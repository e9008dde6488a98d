"""The shape of `/v1/embeddings`: `CreateEmbeddingResponse`."""

from typing import Any

from switchgear.emulator.errors import ApiError
from switchgear.emulator.requests import EmbeddingBody, Prompt
from switchgear.emulator.shapes import encode
from switchgear.emulator.vectors import as_base64, embed


def check(body: EmbeddingBody, dimensions: int) -> int:
    """The length of the vectors: as asked, at most the model's `dimensions`. Raises ApiError."""
    if body.encoding_format not in (None, "float", "base64"):
        raise ApiError(400, "'encoding_format' must be 'float' or 'base64'.", param="encoding_format")
    wanted = dimensions if body.dimensions is None else body.dimensions
    if not 1 <= wanted <= dimensions:
        raise ApiError(400, f"'dimensions' must be from 1 to {dimensions} for this model.", param="dimensions")
    return wanted


def embedding_body(body: EmbeddingBody, model: str, inputs: list[Prompt], dimensions: int, report_usage: bool) -> bytes:
    """The whole body."""
    data: list[dict[str, Any]] = []
    for index, one in enumerate(inputs):
        vector = embed(model, one.text, dimensions)
        data.append(
            {
                "object": "embedding",
                "index": index,
                "embedding": as_base64(vector) if body.encoding_format == "base64" else vector,
            }
        )
    answer: dict[str, Any] = {"object": "list", "data": data, "model": model}
    if report_usage:
        tokens = sum(one.tokens for one in inputs)
        answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return encode(answer)
