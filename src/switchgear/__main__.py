"""`python -m switchgear`."""

from switchgear.cli import main

main()
