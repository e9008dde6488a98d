"""No test here asserts a time, not even Hypothesis's own limit for one example."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
