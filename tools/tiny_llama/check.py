"""Does llama.cpp compute what PyTorch computes? `python -m tiny_llama.check CHECKPOINT HOST:PORT`, with an engine serving the export.

A grammar that allows one text only makes the engine generate that text, and the log probabilities that it reports are those before the
grammar, so one call measures a whole block. Blocks with characters of several bytes are left out of the comparison: the engine
reports no probability for a byte that does not complete a character.
"""

import argparse
import http.client
import json
import math
from pathlib import Path

from tiny_llama import corpus, export, measure

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def engine_bits(engine: str, block: bytes) -> float:
    """Bits that the engine at `engine` (host:port) needs for an ASCII block after BOS."""
    literal = "".join(_ESCAPES.get(character, character) for character in block.decode("ascii"))
    call = {
        "prompt": "",
        "max_tokens": len(block),
        "grammar": f'root ::= "{literal}"',
        "logprobs": 1,
        "temperature": 0,
    }
    connection = http.client.HTTPConnection(engine, timeout=120)
    connection.request("POST", "/v1/completions", json.dumps(call), {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    choice = answer["choices"][0]
    logprobs = [entry["logprob"] for entry in choice["logprobs"]["content"]]
    if choice["text"].encode() != block or len(logprobs) != len(block):
        raise SystemExit(f"the engine answered with another text: {choice['text'][:80]!r}")
    return -sum(logprobs) / math.log(2)


def main() -> None:
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("engine", help="host:port of `switchgear engine llama` serving the export of CHECKPOINT")
    options = parser.parse_args()
    model, _ = export.load(options.checkpoint)
    held_out = corpus.load().held_out
    cut = measure.blocks(held_out)
    plain = [block for block in cut if block.isascii()]
    size = sum(len(block) for block in plain)
    ours = [measure.block_bits(model, block) for block in plain]
    theirs = [engine_bits(options.engine, block) for block in plain]
    worst = max(abs(a - b) / len(block) for a, b, block in zip(ours, theirs, plain, strict=True))
    print(f"held-out text: {len(held_out)} topics, {sum(map(len, cut))} bytes, {len(cut)} blocks")
    print(f"bits per byte, PyTorch, all blocks:             {measure.bits_per_byte(model, held_out):.4f}")
    print(f"bits per byte, PyTorch, {len(plain)} ASCII blocks ({size} bytes): {sum(ours) / size:.4f}")
    print(f"bits per byte, llama.cpp, the same blocks:      {sum(theirs) / size:.4f}")
    print(f"largest difference in one block:                {worst:.4f}")


if __name__ == "__main__":
    main()
