"""Trains, exports and checks the small model that Switchgear ships, `src/switchgear/models/pydoc-tiny.gguf`."""
