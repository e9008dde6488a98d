"""One of several worker processes with a crowd of calls, all at once: `python -m tests.limits.crowd DATABASE NAME CALLS SPENDING`.

Each call that is admitted really costs something between nothing and its estimate, and is written to the file SPENDING when it ends, so
that what a killed worker spent is known too. Prints what it did as JSON.
"""

import asyncio
import json
import os
import random
import sys
from collections import Counter

from switchgear.core.clock import SystemClock
from switchgear.core.limits import Limit, LimitSharing
from switchgear.limits.leasing import Leaser
from switchgear.limits.limiter import Limiter
from switchgear.limits.reservation import Reservation
from switchgear.limits.shares import Shares
from switchgear.limits.stores import open_store

BUDGET_USD = 60.0
TOKENS = 3_500_000
LIMITS = [Limit(name="crowd", team="*", usd_per_day=BUDGET_USD, tokens_per_minute=TOKENS, in_flight=20_000)]
LARGEST_USD = 0.03
SHARING = LimitSharing(sync_s=0.05, lease_s=2.0)
_NANO = 1_000_000_000


class Crowd:
    """The calls of one worker."""

    def __init__(self, name: str, spending: int) -> None:
        self.clock = SystemClock()
        self.shares = Shares(self.clock, leased=True)
        self.limiter = Limiter(LIMITS, self.shares)
        self.limiter.prepare([("key", "team")], ["model"], [])
        self.plan = self.limiter.plan("key", "team", "model")
        self.random = random.Random(name)
        self.spending = spending
        self.nano_usd = 0
        self.tokens = 0
        self.under_way = 0
        self.most_under_way = 0
        self.ends: Counter[str] = Counter()

    async def call(self) -> None:
        cost_usd, tokens = self.random.uniform(0.01, LARGEST_USD), self.random.randint(100, 900)
        patience = 2
        while True:
            answer = self.limiter.reserve(self.plan, tokens, cost_usd, self.clock.monotonic_s())
            if isinstance(answer, Reservation):
                break
            if not answer.pending:
                patience -= 1
                if patience < 0 or answer.retry_after_s is None or answer.retry_after_s > 1.0:
                    self.ends[answer.code.value] += 1
                    return
            await asyncio.sleep(answer.retry_after_s or 0.02)
        self.ends["admitted"] += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(self.random.uniform(0.1, 0.8))
        part = self.random.random()
        answer.settle(int(tokens * part), cost_usd * part, self.clock.monotonic_s())
        self.under_way -= 1
        spent = int(cost_usd * part * _NANO + 0.5)
        os.write(self.spending, b"%d\n" % spent)
        self.nano_usd += spent
        self.tokens += int(tokens * part)


async def main(database: str, name: str, calls: int, spending: str) -> dict[str, object]:
    descriptor = os.open(spending, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    crowd = Crowd(name, descriptor)
    leaser = Leaser(crowd.shares, open_store(database, crowd.clock), SHARING, name)
    await leaser.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)  # all begin together
    await asyncio.gather(*(crowd.call() for _ in range(calls)))
    outstanding = len(crowd.shares.outstanding)
    await leaser.close()
    return {
        "nano_usd": crowd.nano_usd,
        "tokens": crowd.tokens,
        "ends": dict(crowd.ends),
        "outstanding": outstanding,
        "most_under_way": crowd.most_under_way,
        "leases_lost": crowd.shares.lease,
    }


if __name__ == "__main__":
    done = asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
    sys.stdout.write(json.dumps(done) + "\n")
