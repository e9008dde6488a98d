"""Failures rehearsed: the gateway and emulated sites under load through a scenario, in real or in virtual time, and a verdict."""
