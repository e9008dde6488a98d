"""The token numbers: one token per byte, and five markers that no text can contain."""

BYTE_COUNT = 256
BOS = 256
EOS = 257
SYSTEM = 258
USER = 259
ASSISTANT = 260
VOCABULARY_SIZE = 261

MARKERS = {
    BOS: "<|startoftext|>",
    EOS: "<|endoftext|>",
    SYSTEM: "<|system|>",
    USER: "<|user|>",
    ASSISTANT: "<|assistant|>",
}

# An answer starts after the assistant's marker and ends with EOS, exactly as `conversations.py` writes it for training.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message.role == 'assistant' -%}<|assistant|>{{ message.content }}<|endoftext|>"
    "{%- elif message.role == 'system' or message.role == 'developer' -%}<|system|>{{ message.content }}"
    "{%- else -%}<|user|>{{ message.content }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
)


def byte_names() -> list[str]:
    """The 256 bytes as GPT-2 writes them in a vocabulary: printable bytes as themselves, the others from U+0100 on.

    llama.cpp maps a `gpt2` vocabulary's text back to bytes with the same table, so every byte is exactly one token.
    Source: `bytes_to_unicode` in the GPT-2 release, restated from its definition.
    """
    printable = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    names, moved = [], 0
    for byte in range(BYTE_COUNT):
        if byte in printable:
            names.append(chr(byte))
        else:
            names.append(chr(0x100 + moved))
            moved += 1
    return names
