"""Muon: momentum whose matrices are made orthogonal before they are added.

Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024); the scale that matches AdamW's
step size is from Liu et al., "Muon is Scalable for LLM Training" (arXiv:2502.16982), section 2.2.
"""

import torch
from torch import Tensor

# Coefficients of the quintic that pushes singular values towards one (Jordan et al.).
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ROUNDS = 5


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest orthogonal matrices, roughly, by Newton-Schulz; (count, rows, columns)."""
    wide = matrices if matrices.shape[-2] <= matrices.shape[-1] else matrices.mT
    states = wide / (wide.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(_ROUNDS):
        gram = states @ states.mT
        states = _A * states + (_B * gram + _C * gram @ gram) @ states
    return states if wide is matrices else states.mT


class Muon(torch.optim.Optimizer):
    """For the matrices of the hidden layers; embeddings and norms belong to AdamW."""

    def __init__(self, parameters: list[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.1) -> None:
        """`lr` is meant as AdamW's would be: the update's root mean square is 0.2 `lr` per element."""
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # no closure is ever passed
        """One update; matrices of one shape are made orthogonal together."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in by_shape.items():
                updates = orthogonal(torch.stack([self._momentum(p, group["momentum"]) for p in parameters]))
                scale = 0.2 * max(shape) ** 0.5
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update, alpha=-group["lr"] * scale)

    def _momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        state = self.state[parameter]
        average = state.setdefault("average", torch.zeros_like(parameter))
        average.lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(average, momentum)
