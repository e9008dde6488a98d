"""The shape of `/v1/embeddings`: `CreateEmbeddingResponse`."""

from typing import Any

from switchgear.emulator.answer import Answer
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


class EmbeddingWriter:
    """A `WholeWriter`: embeddings are not streamed."""

    def __init__(
        self, answer: Answer, body: EmbeddingBody, inputs: list[Prompt], dimensions: int, *, report_usage: bool = True
    ) -> None:
        self.answer = answer
        self._inputs = inputs
        self._dimensions = dimensions
        self._base64 = body.encoding_format == "base64"
        self._report_usage = report_usage

    def whole(self) -> bytes:
        data: list[dict[str, Any]] = []
        for index, one in enumerate(self._inputs):
            vector = embed(self.answer.model, one.text, self._dimensions)
            data.append(
                {"object": "embedding", "index": index, "embedding": as_base64(vector) if self._base64 else vector}
            )
        body: dict[str, Any] = {"object": "list", "data": data, "model": self.answer.model}
        if self._report_usage:
            tokens = self.answer.prompt_tokens
            body["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
        return encode(body)
