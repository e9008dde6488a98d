"""A Llama: RMSNorm before each half of a block, rotary positions, SwiGLU, embeddings tied to the output.

It follows llama.cpp's `llama` architecture, so that the exported weights need no permutation: rotary positions turn
neighbouring pairs (llama.cpp's `LLAMA_ROPE_TYPE_NORM`), and a missing output matrix means the embedding's.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tiny_llama import vocabulary


@dataclass(frozen=True)
class Shape:
    """Sizes of a model; the defaults are those of the shipped one."""

    width: int = 192
    layers: int = 4
    heads: int = 6
    hidden: int = 512
    context: int = 2048
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        """Dimensions of one attention head."""
        return self.width // self.heads


def rotation(shape: Shape) -> Tensor:
    """Cosine and sine for every position and pair of dimensions: (context, head_width / 2, 2).

    Source: Su et al., RoFormer (arXiv:2104.09864), equation 34.
    """
    pairs = torch.arange(0, shape.head_width, 2, dtype=torch.float64) / shape.head_width
    angles = torch.outer(torch.arange(shape.context, dtype=torch.float64), shape.rope_base**-pairs)
    return torch.stack((angles.cos(), angles.sin()), dim=-1).float()


def rotate(states: Tensor, table: Tensor) -> Tensor:
    """Turn each pair of neighbouring dimensions by its position's angle; states are (batch, heads, length, head_width)."""
    even, odd = states[..., 0::2], states[..., 1::2]
    cos, sin = table[: states.shape[-2], :, 0], table[: states.shape[-2], :, 1]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


class Block(nn.Module):
    """One layer: attention and a gated feed-forward, each added to what came in."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        """Make the layer's matrices; `dropout` applies to what each half adds."""
        super().__init__()
        self.heads, self.dropout = shape.heads, dropout
        self.attn_norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.attn_q = nn.Linear(shape.width, shape.width, bias=False)
        self.attn_k = nn.Linear(shape.width, shape.width, bias=False)
        self.attn_v = nn.Linear(shape.width, shape.width, bias=False)
        self.attn_output = nn.Linear(shape.width, shape.width, bias=False)
        self.ffn_norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.ffn_gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.ffn_up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.ffn_down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, states: Tensor, table: Tensor) -> Tensor:
        """States are (batch, length, width)."""
        batch, length, width = states.shape
        normed = self.attn_norm(states)

        def split(projected: Tensor) -> Tensor:
            return projected.view(batch, length, self.heads, -1).transpose(1, 2)

        query, key = rotate(split(self.attn_q(normed)), table), rotate(split(self.attn_k(normed)), table)
        mixed = functional.scaled_dot_product_attention(query, key, split(self.attn_v(normed)), is_causal=True)
        mixed = self.attn_output(mixed.transpose(1, 2).reshape(batch, length, width))
        states = states + functional.dropout(mixed, self.dropout, self.training)
        normed = self.ffn_norm(states)
        gated = self.ffn_down(functional.silu(self.ffn_gate(normed)) * self.ffn_up(normed))
        return states + functional.dropout(gated, self.dropout, self.training)


class Llama(nn.Module):
    """Token numbers in, logits out."""

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        """Initialise as GPT-2 does: normal, and smaller where a block adds to the stream."""
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(vocabulary.VOCABULARY_SIZE, shape.width)
        self.blk = nn.ModuleList(Block(shape, dropout) for _ in range(shape.layers))
        self.output_norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.register_buffer("table", rotation(shape), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                added = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * shape.layers) ** 0.5 if added else 0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token at every place: (batch, length, vocabulary)."""
        states = self.token_embd(tokens)
        for block in self.blk:
            states = block(states, self.table)
        return functional.linear(self.output_norm(states), self.token_embd.weight)
