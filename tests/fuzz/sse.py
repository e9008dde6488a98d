"""Fuzzes the reading of server-sent events: python -m tests.fuzz.sse --seconds 60."""

from tests.fuzz.program import run

if __name__ == "__main__":
    run("sse")
