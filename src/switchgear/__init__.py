"""Switchgear: one OpenAI-compatible endpoint in front of every place where AI inference can run."""

__version__ = "0.1.0"
