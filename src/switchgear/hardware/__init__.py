"""Device profiles and physics: what a place is made of, and how long it takes it to answer. Pure; knows nothing of HTTP."""
