"""The rate limits of an account: what `Limit` does.

limit                the wrapper
gate                 what a call passes
local_gate           the gate of an account that an event loop has to itself
shared_gate          the gate of one that processes share
exchange_thread      what tells a journal of it
shared_accounts      what such processes need of a journal
waiting_call         a call that waits there
line                 who waits, in which order
pacing               the arithmetic
account_state        what it goes by, as data
meters               limits per minute
concurrency_window   a limit on concurrent calls
"""

from .account_state import AccountState, Allowed, Pass
from .limit import Limit
from .meters import CLOCK_SECONDS
from .pacing import AccountLimits
from .shared_accounts import LATE_START, End, Exchanged, Granted, Join, News, Turns

__all__ = [
    "CLOCK_SECONDS",
    "LATE_START",
    "AccountLimits",
    "AccountState",
    "Allowed",
    "End",
    "Exchanged",
    "Granted",
    "Join",
    "Limit",
    "News",
    "Pass",
    "Turns",
]
