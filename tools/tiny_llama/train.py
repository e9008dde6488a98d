"""Trains the model: `python -m tiny_llama.train --out DIR`; stopped and started again, it goes on from its checkpoint.

Rows and dropout depend on the seed and the step only, so a resumed run sees what an unbroken one would. The figures of two runs
still differ in their last digits when the number of threads differs, because sums are then taken in another order.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from tiny_llama import corpus, measure
from tiny_llama.conversations import IGNORED, Row, Rows
from tiny_llama.network import Llama, Shape
from tiny_llama.optimiser import Muon

TOKENS_PER_STEP = 4096
# (share of the steps, row length): short rows first, since most of what is learned needs little context and short rows are cheap.
LENGTHS = ((0.6, 256), (0.3, 512), (0.1, 2048))
PEAK_LEARNING_RATE = 4e-3
WARM_UP_STEPS = 40
DECAY_SHARE = 0.5
DROPOUT = 0.1
MEASURE_EVERY = 100


def row_length(step: int, steps: int) -> int:
    """Tokens per row at `step`."""
    passed = 0.0
    for share, length in LENGTHS:
        passed += share
        if step < passed * steps:
            return length
    return LENGTHS[-1][1]


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, level, then linear to zero over the last `DECAY_SHARE`."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return PEAK_LEARNING_RATE * warm * min(1.0, (steps - step) / (steps * DECAY_SHARE))


def tensors(rows: list[Row]) -> tuple[Tensor, Tensor]:
    """Inputs and targets; a target that is not to be learned is `IGNORED`."""
    tokens = torch.tensor([row.tokens for row in rows])
    learned = torch.tensor([row.learned for row in rows])
    return tokens[:, :-1], tokens[:, 1:].masked_fill(~learned[:, 1:], IGNORED)


class Trainer:
    """The model, its two optimisers and the step they have reached."""

    def __init__(self, out: Path, steps: int, seed: int) -> None:
        """Start from `out`'s checkpoint when there is one."""
        torch.manual_seed(seed)
        self.out, self.steps, self.seed, self.step, self.trained_s = out, steps, seed, 0, 0.0
        self.corpus = corpus.load()
        self.rows = Rows(self.corpus)
        self.model = Llama(Shape(), DROPOUT)
        named = dict(self.model.named_parameters())
        hidden = [p for name, p in named.items() if p.dim() == 2 and name != "token_embd.weight"]
        rest = [p for name, p in named.items() if p.dim() == 1 or name == "token_embd.weight"]
        self.optimisers: list[torch.optim.Optimizer] = [
            Muon(hidden, lr=PEAK_LEARNING_RATE),
            torch.optim.AdamW(rest, lr=PEAK_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        if self._file.exists():
            self._restore()

    @property
    def _file(self) -> Path:
        return self.out / "checkpoint.pt"

    def _restore(self) -> None:
        saved = torch.load(self._file, weights_only=True)
        if (saved["steps"], saved["seed"], saved["corpus_sha256"]) != (self.steps, self.seed, self.corpus.sha256):
            raise SystemExit(f"{self._file} belongs to another run; name another --out")
        self.model.load_state_dict(saved["model"])
        for optimiser, state in zip(self.optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.step, self.trained_s = saved["step"], saved["trained_s"]

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        content = {
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "shape": asdict(self.model.shape),
            "step": self.step,
            "steps": self.steps,
            "seed": self.seed,
            "trained_s": self.trained_s,
            "corpus_sha256": self.corpus.sha256,
        }
        part = self._file.with_suffix(".part")
        torch.save(content, part)
        part.replace(self._file)

    def advance(self) -> float:
        """One step; its mean loss in nats per learned token."""
        torch.manual_seed(self.seed * 1_000_003 + self.step)
        length = row_length(self.step, self.steps)
        inputs, targets = tensors(self.rows.batch(self.seed, self.step, TOKENS_PER_STEP // length, length))
        logits = self.model(inputs)
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        loss.backward()
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(self.step, self.steps)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        return loss.item()

    def run(self) -> None:
        """Train to the end, measuring and saving every `MEASURE_EVERY` steps."""
        total, counted = 0.0, 0
        while self.step < self.steps:
            started_s = time.monotonic()
            total, counted = total + self.advance(), counted + 1
            self.trained_s += time.monotonic() - started_s
            if self.step % MEASURE_EVERY == 0 or self.step == self.steps:
                self._report(total / counted)
                total, counted = 0.0, 0

    def _report(self, loss: float) -> None:
        # Beyond the length of the rows seen so far a model knows nothing of positions, and would only be measured guessing.
        block_bytes = min(measure.BLOCK_BYTES, row_length(self.step - 1, self.steps))
        held_out = measure.bits_per_byte(self.model, self.corpus.held_out, block_bytes)
        line = {
            "step": self.step,
            "trained_s": round(self.trained_s),
            "train_nats_per_byte": round(loss, 4),
            "held_out_bits_per_byte": round(held_out, 4),
            "block_bytes": block_bytes,
        }
        print(json.dumps(line), flush=True)
        with (self.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        self.save()


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint and the log")
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    Trainer(options.out, options.steps, options.seed).run()


if __name__ == "__main__":
    main()
