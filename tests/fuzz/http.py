"""Fuzzes the server's reading of requests: python -m tests.fuzz.http --seconds 60."""

from tests.fuzz.program import run

if __name__ == "__main__":
    run("http")
