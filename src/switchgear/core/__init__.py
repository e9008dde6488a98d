"""The vocabulary of Switchgear. Pure: no I/O, and nothing here imports another room."""
