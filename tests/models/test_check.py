"""`models.check`: what a model can do, found out by asking it."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from contemplate import models
from contemplate.errors import ConfigurationError, ModelRateLimitError
from contemplate.models import Finding, OpenAIModel, Report, Retry
from contemplate.models.probes import Checkup
from contemplate.models.probes.answers import red_square
from contemplate.models.probes.checkup import PROBES
from contemplate.testing import FaultyServer, Provider, ScriptedModel, providers
from contemplate.testing.faulty import Silence
from contemplate.usage import Price

pytestmark = pytest.mark.anyio

KEY = "sk-very-secret-key"


def verdicts(report: Report) -> dict[str, str]:
    return {each.name: each.verdict for each in report.findings}


def model_at(server: Provider | FaultyServer, **more: Any) -> OpenAIModel:
    return OpenAIModel("m", base_url=server.url, api_key=KEY, price=Price(input=1, output=2), **more)


async def test_a_server_that_can_do_everything() -> None:
    with Provider(providers.OPENAI) as server:
        report = await models.check(Retry(model_at(server)))
        found = verdicts(report)
        assert list(found) == list(PROBES)
        assert {name for name, verdict in found.items() if verdict != "ok"} == {"reasoning"}
        assert report.answers
        assert report.whole
        assert report.usage.calls >= server.billed.calls - 1
        assert report.usage.cost_usd
        assert sum(each.calls for each in report.findings) == report.usage.calls
    assert Report.model_validate_json(report.model_dump_json()) == report


async def test_what_is_refused_is_told_in_the_servers_words() -> None:
    with Provider(providers.XAI) as server:
        report = await models.check(model_at(server))
    (stop,) = [each for each in report.findings if each.name == "stop"]
    # Once refusals are learnt from, the settings work, or are told to be left out.
    assert stop.verdict in ("no", "learnt")
    assert "stop" in stop.detail or "400" in stop.detail
    assert verdicts(report)["reasoning"] == "ok"


async def test_nobody_there_is_one_error() -> None:
    told: list[Finding] = []
    model = OpenAIModel("m", base_url="http://127.0.0.1:9/v1", api_key=KEY)
    report = await models.check(model, tell=told.append)
    assert list(report.findings) == told
    (finding,) = report.findings
    assert (finding.name, finding.verdict) == ("answer", "error")
    assert "no connection to http://127.0.0.1:9/v1" in finding.detail
    assert not report.answers


async def test_a_wrong_key_is_one_error_and_is_not_shown() -> None:
    with Provider(providers.OPENAI, key="another") as server:
        report = await models.check(model_at(server))
        assert len(server.requests) == 1
    assert len(report.findings) == 1
    assert not report.answers
    assert KEY not in report.model_dump_json()


async def test_silence_is_not_waited_for() -> None:
    with FaultyServer(lambda _: Silence()) as server:
        report = await models.check(model_at(server), seconds=0.1)
    (finding,) = report.findings
    assert finding.detail == "not over within 0.1 s"


async def test_what_is_known_when_it_is_stopped() -> None:
    with Provider(providers.OPENAI) as server:
        checkup = Checkup(model_at(server))
        with anyio.CancelScope() as scope:
            await checkup.run(lambda finding: scope.cancel() if finding.name == "stop" else None)
    report = checkup.report()
    assert report.findings[-1].name == "stop"
    assert report.answers
    assert not report.whole


async def test_no_probe_raises() -> None:
    failing = ScriptedModel([ModelRateLimitError("slow down", model="scripted")])
    report = await models.check(failing)
    assert [each.detail for each in report.findings] == ["slow down"]

    replies = iter(["OK"])
    report = await models.check(ScriptedModel(lambda _: next(replies, None) or ValueError("odd")))
    assert len(report.findings) == len(PROBES)
    assert {each.detail for each in report.findings if each.verdict == "error"} == {"ValueError: odd"}
    assert report.profile_code == ""


async def test_the_profile_in_code_is_the_profile() -> None:
    with Provider(providers.OPENAI) as server:
        model = model_at(server)
        field = type(model.profile)(left_out=frozenset({"stop", "seed"}), images=False)
        report = await models.check(model.with_profile(field))
    assert report.profile_code == "Profile(left_out=frozenset(['seed', 'stop']), images=False)"
    assert json.loads(report.model_dump_json())["profile"]["images"] is False


async def test_a_name_that_is_none() -> None:
    with pytest.raises(ConfigurationError, match="unknown provider"):
        await models.check("nobody:nothing")


def test_a_png_that_is_one() -> None:
    image = red_square(32)
    assert image.startswith(b"\x89PNG")
    assert len(image) < 200
