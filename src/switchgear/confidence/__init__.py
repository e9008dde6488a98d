"""How sure an answer is, and whether a rule calls it unsure. Pure; knows nothing of routing or HTTP."""
