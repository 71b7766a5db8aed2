"""Runs that a stop of the server ends, also those that come after it."""

from __future__ import annotations

import anyio
import pytest

from contemplate.server.active_runs import ActiveRuns
from contemplate.server.api_errors import RequestError

from ..patience import PATIENCE

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("late", [True, False])
async def test_a_stop_ends_the_runs_before_and_after_it(late: bool) -> None:
    runs = ActiveRuns()
    began = False
    if late:
        runs.stop()
    with anyio.fail_after(PATIENCE), pytest.raises(RequestError, match="the server is stopping") as caught:
        async with runs.hold():
            began = True
            runs.stop()
            await anyio.sleep_forever()
    assert began is not late
    assert (caught.value.failure.status, caught.value.failure.code) == (503, "server_stopped")
