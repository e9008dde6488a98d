"""Sketches: what a call that went wrong looked like, without what it said. Knows nothing of routing or HTTP."""
