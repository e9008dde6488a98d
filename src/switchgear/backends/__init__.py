"""Adapters to backends: how a call is written to and read from each protocol. Knows neither routing nor policy."""
