"""Bits per byte on the held-out text, defined so that any engine that returns log probabilities can measure the same."""

import math

import torch
from torch.nn import functional

from tiny_llama import vocabulary
from tiny_llama.network import Llama

BLOCK_BYTES = 1024


def blocks(texts: dict[str, str], block_bytes: int = BLOCK_BYTES) -> list[bytes]:
    """The held-out topics in order of name, each cut into blocks of `block_bytes`; a block is predicted from BOS and itself only."""
    cut = []
    for _, text in sorted(texts.items()):
        data = text.encode()
        cut.extend(data[start : start + block_bytes] for start in range(0, len(data), block_bytes))
    return cut


@torch.no_grad()
def block_bits(model: Llama, block: bytes) -> float:
    """Bits that the model needs for one block after BOS."""
    tokens = torch.tensor([[vocabulary.BOS, *block]])
    losses = functional.cross_entropy(model(tokens[:, :-1])[0].double(), tokens[0, 1:], reduction="sum")
    return losses.item() / math.log(2)


def bits_per_byte(model: Llama, texts: dict[str, str], block_bytes: int = BLOCK_BYTES) -> float:
    """Mean over all bytes of all blocks of `texts`."""
    was_training = model.training
    model.eval()
    cut = blocks(texts, block_bytes)
    bits = sum(block_bits(model, block) for block in cut)
    model.train(was_training)
    return bits / sum(len(block) for block in cut)
