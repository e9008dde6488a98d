"""Measures a live backend and fits the physics to it: what to send, what came back, what that says, and how sure it is."""
