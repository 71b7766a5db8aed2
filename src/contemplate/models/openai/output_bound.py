"""How many tokens an answer may have, where it is known that not as many fit as were asked for."""

from __future__ import annotations

from ..base import ModelRequest
from ..context_size import LEAST_PER_ESTIMATE, NEAR
from ..tokens import request_tokens
from .profile import Profile

# Of an answer with less room than this nothing can be expected.
LEAST_ROOM = 16
# Where the estimate may cost more of the room than the rest, the server is left to say how much there is.
NEARLY_ALL = 0.75


def output_bound(request: ModelRequest, profile: Profile) -> int | None:
    """Return how many tokens the answer to `request` may have in a dialect; None without a bound.

    A bound is lowered to what fits beside the prompt if the server is sure to refuse it, and little is lost by that.
    """
    wanted = request.settings.max_tokens
    if wanted is None:
        return None
    bound = min(wanted, profile.max_output_tokens or wanted)
    if profile.context_tokens is None:
        return bound
    prompt, measured = request_tokens(request), profile.tokens_per_estimate
    most = profile.context_tokens - prompt * (measured * NEAR if measured else LEAST_PER_ESTIMATE)
    sure = int(profile.context_tokens - prompt * (measured / NEAR if measured else 1))
    return sure if bound > most and sure >= max(LEAST_ROOM, NEARLY_ALL * most) else bound
