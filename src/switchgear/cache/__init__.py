"""Keeps answers and gives them again; knows nothing of routing or HTTP."""
