"""Writes a trained checkpoint as the GGUF file that llama.cpp loads: `python -m tiny_llama.export CHECKPOINT GGUF`."""

import argparse
from pathlib import Path

import gguf
import numpy as np
import torch

from tiny_llama import vocabulary
from tiny_llama.network import Llama, Shape

TYPES = {"f16": gguf.GGMLQuantizationType.F16, "q8_0": gguf.GGMLQuantizationType.Q8_0}
FILE_TYPES = {"f16": gguf.LlamaFileType.MOSTLY_F16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}


def load(checkpoint: Path) -> tuple[Llama, dict[str, int | str]]:
    """The trained model, and the facts about its training that the file is to carry."""
    saved = torch.load(checkpoint, weights_only=True)
    model = Llama(Shape(**saved["shape"]))
    model.load_state_dict(saved["model"])
    model.eval()
    return model, {key: saved[key] for key in ("step", "seed", "corpus_sha256")}


def _describe(writer: gguf.GGUFWriter, shape: Shape, facts: dict[str, int | str], kind: str) -> None:
    writer.add_name("pydoc-tiny")
    writer.add_description(
        "Byte-level Llama trained on the Python language reference and the standard library's docstrings (Python Software"
        f" Foundation, PSF-2.0; text {facts['corpus_sha256']}), {facts['step']} steps, seed {facts['seed']}"
    )
    writer.add_license("Apache-2.0")
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_vocab_size(vocabulary.VOCABULARY_SIZE)
    writer.add_pooling_type(gguf.PoolingType.MEAN)  # without one llama.cpp refuses /v1/embeddings


def _add_tokenizer(writer: gguf.GGUFWriter) -> None:
    """A GPT-2 vocabulary of the 256 bytes, so that each byte is one token both ways."""
    names = [*vocabulary.byte_names(), *(name for _, name in sorted(vocabulary.MARKERS.items()))]
    markers = len(vocabulary.MARKERS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(names)
    writer.add_token_types([gguf.TokenType.NORMAL] * vocabulary.BYTE_COUNT + [gguf.TokenType.CONTROL] * markers)
    # llama.cpp refuses a GPT-2 vocabulary without merges and GGUF has no empty array: this one can never apply, since text is
    # split into single bytes and neither side is one.
    writer.add_token_merges([f"{vocabulary.MARKERS[vocabulary.BOS]} {vocabulary.MARKERS[vocabulary.EOS]}"])
    writer.add_bos_token_id(vocabulary.BOS)
    writer.add_eos_token_id(vocabulary.EOS)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_chat_template(vocabulary.CHAT_TEMPLATE)


def write(model: Llama, facts: dict[str, int | str], target: Path, kind: str = "q8_0") -> None:
    """Write `model` to `target`; matrices as `kind` ("f16" or "q8_0"), norms as f32."""
    writer = gguf.GGUFWriter(target, "llama")
    _describe(writer, model.shape, facts, kind)
    _add_tokenizer(writer)
    for name, parameter in model.named_parameters():
        values = parameter.detach().numpy().astype(np.float32)
        if values.ndim == 1:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quants.quantize(values, TYPES[kind]), raw_dtype=TYPES[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--type", choices=sorted(TYPES), default="q8_0")
    options = parser.parse_args()
    model, facts = load(options.checkpoint)
    write(model, facts, options.target, options.type)
    print(
        f"{options.target}: {options.target.stat().st_size} bytes, {sum(p.numel() for p in model.parameters())} parameters"
    )


if __name__ == "__main__":
    main()
