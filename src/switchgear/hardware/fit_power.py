"""Fitting `power.PowerModel` to measured powers of stretches whose activity is known (from a fitted `roofline.StepCost`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from switchgear.hardware.bounds import fraction, positive
from switchgear.hardware.errors import BadFigure
from switchgear.hardware.fit import Errors, Fit, Parameter, errors, fit
from switchgear.hardware.loads import Floats
from switchgear.hardware.power import PowerModel, dynamic_w


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a measured stretch: its share of the time, and for which fraction of it arithmetic and memory are busy."""

    share: float
    arithmetic: float
    memory: float

    def __post_init__(self) -> None:
        fraction(share=self.share, arithmetic=self.arithmetic, memory=self.memory)


@dataclass(frozen=True, slots=True)
class Draw:
    """Measured mean power of one board over phases whose shares make 1."""

    phases: tuple[Phase, ...]
    power_w: float

    def __post_init__(self) -> None:
        positive(power_w=self.power_w)
        total = sum(phase.share for phase in self.phases)
        if abs(total - 1) > 1e-6:
            raise BadFigure("sum of shares", total, "shares that make 1")


def parameters(idle_w: float, limit_w: float) -> tuple[Parameter, ...]:
    """Where to start for a board of that idle power and limit, and how far from it is plausible."""
    positive(idle_w=idle_w, limit_w=limit_w)
    return (
        Parameter("idle_w", idle_w, idle_w / 4, min(limit_w, idle_w * 4), 0.3),
        Parameter("arithmetic_w", 0.7 * limit_w, 0.02 * limit_w, 4 * limit_w, 0.7),
        Parameter("memory_w", 0.4 * limit_w, 0.02 * limit_w, 4 * limit_w, 0.7),
    )


def predict_w(draws: Sequence[Draw], model: PowerModel) -> Floats:
    """Mean power of each, watts."""
    return np.array([sum(phase.share * _board_w(model, phase) for phase in draw.phases) for draw in draws])


def fit_power(draws: Sequence[Draw], idle_w: float, limit_w: float) -> Fit:
    """Fit idle, arithmetic and memory power under a limit that is known."""
    measured = np.array([draw.power_w for draw in draws])

    def log_ratios(values: Mapping[str, float]) -> Floats:
        ratios: Floats = np.log(predict_w(draws, PowerModel(limit_w=limit_w, **values)) / measured)
        return ratios

    return fit(parameters(idle_w, limit_w), log_ratios)


def power_errors(draws: Sequence[Draw], model: PowerModel) -> Errors:
    """How well a model meets measured powers."""
    return errors(predict_w(draws, model), np.array([draw.power_w for draw in draws]))


def _board_w(model: PowerModel, phase: Phase) -> float:
    return min(model.limit_w, model.idle_w + dynamic_w(model, phase.arithmetic, phase.memory))
