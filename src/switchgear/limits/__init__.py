"""May this call be admitted now: rates, calls in flight and budgets; who waits when a backend is full; how workers share it all.

Deciding is pure and synchronous. Only `leasing` and the two stores touch a database, in a thread, never in a call's way.
"""
