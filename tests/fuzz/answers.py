"""Fuzzes the client's reading of answers: python -m tests.fuzz.answers --seconds 60."""

from tests.fuzz.program import run

if __name__ == "__main__":
    run("answers")
