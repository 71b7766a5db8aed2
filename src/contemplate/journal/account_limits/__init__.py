"""The rate limits of accounts that many processes share, in the tables of a journal.

A row for each account says how it stands; the arithmetic is that of `models/wrappers/rate_limit/`. A row for each call
that waits or is in flight, in the order of turns: runs take turns over all processes, as in start-time fair queueing
(Goyal, Vin and Cheng 1996). Whoever changes anything lets in all whose turn it is, also those of others, who find out
when they look. They are let in a little before they may start, so that they start in time.

A row for each gate, the calls of one process for an account, says until when it is taken to be alive. When that time is
over, it is suspected, and dead if it says nothing for a while longer: where the database itself was away, all are given
that time. The tables are made on first use, so that versions of this package that know nothing of them read the journal
as before.

journal_accounts   what gates tell, and learn
account_row        how an account stands
calls              who waits, and who is in flight
gates              which processes are alive
account_status     accounts at a glance
"""

from .account_status import AccountStatus
from .journal_accounts import JournalAccounts, accounts_in

__all__ = ["AccountStatus", "JournalAccounts", "accounts_in"]
