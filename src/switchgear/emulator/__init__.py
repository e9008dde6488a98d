"""Emulated places: OpenAI-compatible servers with deterministic text, honest usage, timings from the roofline, and faults on demand.

Knows nothing of the gateway. `switchgear.emulator.server.Emulator` is the way in for tests, `switchgear emulate` the one for people.
"""
