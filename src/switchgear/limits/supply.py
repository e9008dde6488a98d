"""What a worker has to tell the books and what their answers mean to its shares. Pure: `leasing` carries the asks and the answers."""

import logging
from typing import NamedTuple

from switchgear.core.limits import LimitSharing
from switchgear.limits.book import Ask, Grant
from switchgear.limits.errors import SharingFailing
from switchgear.limits.share import Share
from switchgear.limits.shares import Shares

log = logging.getLogger(__name__)
_RENEWALS = 3
"""So many in the time of a lease: two may fail."""


class Round(NamedTuple):
    """One transaction: what is told and asked, for which shares."""

    shares: list[Share]
    asks: list[Ask]
    sent_s: float
    renews: bool
    """Whether it has all shares in it, and so renews the whole lease."""


class Supply:
    """Of one worker's shares. Times are monotonic seconds of the worker's own clock: its lease ends for it no later than in the books."""

    def __init__(self, shares: Shares, settings: LimitSharing) -> None:
        if not shares.leased:
            raise ValueError("only leased shares can be supplied: make them with leased=True")
        self.shares = shares
        self.last_error = ""
        self._lease_s = settings.lease_s
        self._seq = 0
        self._renew_s = 0.0
        shares.fresh_s = max(1.0, 4 * settings.sync_s)

    def round(self, now_s: float, *, final: bool = False) -> Round:
        """What there is to tell now. With `final` all is given back, and nothing is kept."""
        shares = self.shares
        renews = final or shares.lost or now_s >= self._renew_s
        asking = [share for share in shares if renews or share.stirred]
        self._seq += 1
        return Round(asking, [share.ask(self._seq, now_s, final=final) for share in asking], now_s, renews)

    def answered(self, told: Round, grants: list[Grant], now_s: float) -> bool:
        """The books' answers. Returns whether to ask again at once: the lease was over, and a new one is needed."""
        shares = self.shares
        if shares.failing:
            log.warning("limits are shared again")
        shares.failing = False
        self.last_error = ""
        for share, grant in zip(told.shares, grants, strict=True):
            share.accept(grant, told.sent_s)
        if told.renews:
            self._renew_s = told.sent_s + self._lease_s / _RENEWALS
            if told.sent_s + self._lease_s > now_s:
                shares.lost = False
                shares.lease_until_s = told.sent_s + self._lease_s
        if any(grant.lost for grant in grants):
            log.warning(
                "the lease of this worker's limits was over before it was renewed; what it held counts as spent"
            )
            shares.lose()
        return shares.lost

    def failed(self, error: SharingFailing, now_s: float) -> None:
        """There was no answer. The leased share stays usable until its time is over."""
        shares = self.shares
        if not shares.failing:
            left_s = max(0.0, shares.lease_until_s - now_s)
            log.warning("limits cannot be shared now; the leased share is good for another %.1f s: %s", left_s, error)
        shares.failing = True
        self.last_error = str(error)
        if not shares.lost and now_s >= shares.lease_until_s:
            shares.lose()
