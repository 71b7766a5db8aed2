"""One call that waits for the world."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from contemplate import (
    Approved,
    Budget,
    Contemplator,
    Denied,
    ImagePart,
    Limits,
    PendingCall,
    Returned,
    RunResult,
    ToolContext,
    ask,
    external_tool,
    tool,
)
from contemplate.decisions import Decision
from contemplate.errors import ConfigurationError, ContemplateError, JournalError, LimitExceeded
from contemplate.events import CallWaiting, Event, RunFinished, RunSuspended
from contemplate.testing import ScriptedModel

from .scene import Office, calls, told

pytestmark = pytest.mark.anyio


def one_mail(to: str = "ann") -> ScriptedModel:
    return ScriptedModel([calls(("mail", {"to": to})), "done"])


async def test_a_call_that_needs_an_approval_suspends_the_run_and_goes_on_when_it_has_it() -> None:
    office, model = Office(), one_mail()
    mind = Contemplator(model, mode="instant", tools=[office.mail()])
    result = await mind.run("Tell Ann.")
    assert (result.status, result.complete, result.text, office.sent) == ("suspended", False, "", [])
    (call,) = result.pending
    assert (call.tool, call.arguments, call.task, call.kind) == ("mail", {"to": "ann"}, "answer", "approval")
    assert call.run_id == result.run_id
    assert call.why
    assert result.tasks[0].outcome == "suspended"
    assert result.missing == ("answer",)
    assert call.id in str(result)
    assert "suspended" in str(result)
    assert len(model.requests) == 1

    again = await mind.resume(result.run_id)
    assert again.pending == result.pending
    assert len(model.requests) == 1

    done = await mind.resume(result.run_id, {call.id: Approved()})
    assert (done.status, done.text, done.run_id, done.pending) == ("answered", "done", result.run_id, ())
    assert office.sent == ["ann"]
    assert len(model.requests) == 2
    assert done.usage.calls == 2


async def test_a_resumed_run_asks_what_it_would_have_asked_without_the_wait() -> None:
    never, waited = one_mail(), one_mail()
    await Contemplator(never, mode="instant", tools=[Office().mail()], approve=lambda call: True).run("Tell Ann.")
    mind = Contemplator(waited, mode="instant", tools=[Office().mail()])
    result = await mind.run("Tell Ann.")
    await mind.resume(result.run_id, {result.pending[0].id: True})
    assert never.requests == waited.requests


@pytest.mark.parametrize(
    ("decision", "said", "sent"),
    [
        (Approved(), "sent to ann", ["ann"]),
        (True, "sent to ann", ["ann"]),
        (Denied("she is on leave"), "The call was not allowed, and was not made. she is on leave", []),
        (False, "The call was not allowed, and was not made.", []),
        (Returned("by phone"), "by phone", []),
        (Returned({"said": [1]}), '{"said":[1]}', []),
        (Returned(error="nobody at home"), "The tool failed. ToolError: nobody at home", []),
        (
            Approved({"to": "bob"}),
            'Whoever approved the call changed its arguments. It was made with: {"to":"bob"}\n\nsent to bob',
            ["bob"],
        ),
        (Approved({"towards": "bob"}), None, []),
    ],
)
async def test_what_was_decided_is_done_and_told(
    decision: Decision | bool, said: str | None, sent: list[str], tmp_path: Path
) -> None:
    journal = f"sqlite:///{tmp_path}/runs.db"
    office = Office()
    first, second = ScriptedModel([calls(("mail", {"to": "ann"}))]), ScriptedModel(["done"])
    result = await Contemplator(first, mode="instant", tools=[office.mail()], journal=journal).run("Tell Ann.")
    # What stands for another process.
    mind = Contemplator(second, mode="instant", tools=[office.mail()], journal=journal)
    done = await mind.resume(result.run_id, {result.pending[0].id: decision})
    assert (done.text, office.sent) == ("done", sent)
    (answer,) = told(second.requests[0])
    assert answer == said if said is not None else "wrong arguments for mail" in answer
    replayed = await mind.replay(result.run_id)
    assert replayed.text == "done"

    asked = ScriptedModel([calls(("mail", {"to": "ann"})), "done"])
    mind = Contemplator(asked, mode="instant", tools=[Office().mail()], approve=lambda call: decision)
    assert (await mind.run("Tell Ann.")).text == "done"
    assert told(asked.requests[1]) == [answer]


async def test_a_tool_that_somebody_else_runs() -> None:
    @tool(external=True)
    def look(place: str) -> str:
        """Look at a page in the browser."""
        raise AssertionError("somebody else does that")

    by_schema = external_tool("click", "Click.", {"type": "object", "properties": {"on": {"type": "string"}}})
    model = ScriptedModel([calls(("look", {"place": "a"})), calls(("click", {"on": "b"})), "done"])
    mind = Contemplator(model, mode="instant", tools=[look, by_schema])
    result = await mind.run("Look.")
    assert [spec.name for spec in model.requests[0].tools] == ["look", "click"]
    (call,) = result.pending
    assert (call.kind, call.tool) == ("external", "look")
    with pytest.raises(ConfigurationError, match="nothing to approve"):
        await mind.resume(result.run_id, {call.id: Approved()})
    result = await mind.resume(result.run_id, {call.id: Returned("a page")})
    (call,) = result.pending
    assert (call.kind, call.tool, call.arguments) == ("external", "click", {"on": "b"})
    result = await mind.resume(result.run_id, {call.id: Denied("no")})
    assert result.text == "done"
    assert told(model.requests[-1]) == ["a page", "The call was not allowed, and was not made. no"]


async def test_images_that_came_back_are_shown_to_the_model_after_all_results(tmp_path: Path) -> None:
    red, blue = (ImagePart(url=f"https://example.org/{name}.png") for name in ("red", "blue"))
    look = external_tool("look", "Look.", {"type": "object", "properties": {"at": {"type": "string"}}})
    model = ScriptedModel([calls(("look", {"at": "a"}), ("look", {"at": "b"})), "done"])
    mind = Contemplator(model, mode="instant", tools=[look], journal=f"sqlite:///{tmp_path}/runs.db")
    result = await mind.run("Look.")
    first, second = sorted(result.pending, key=lambda call: str(call.arguments["at"]))
    for wrong in (ImagePart(data=b"no image"), "red.png"):
        with pytest.raises(ConfigurationError, match=first.id):
            await mind.resume(result.run_id, {first.id: Returned("a", images=(wrong,))})  # type: ignore[arg-type]
    await mind.resume(result.run_id, {first.id: Returned({"at": "a"}, images=(red,))})
    result = await mind.resume(result.run_id, {second.id: Returned(error="it fell", images=(blue,))})
    assert (result.text, result.images) == ("done", ())
    said = model.requests[-1].messages
    assert [(each.role, each.images) for each in said[-3:]] == [("tool", ()), ("tool", ()), ("user", (red, blue))]
    assert (await mind.replay(result.run_id)).text == "done"


async def test_a_function_decides_by_the_arguments() -> None:
    async def far(to: str) -> Any:
        return {"ann": False, "bob": "Bob is abroad", "eve": True}[to]

    sent: list[str] = []

    @tool(approval=far)
    def mail(to: str) -> str:
        """Send a mail."""
        sent.append(to)
        return "sent"

    asked: list[PendingCall] = []

    def approve(call: PendingCall) -> bool:
        asked.append(call)
        return call.arguments["to"] != "eve"

    names = ("ann", "bob", "eve", "zoe")
    model = ScriptedModel([*(calls(("mail", {"to": name})) for name in names), calls(("mail", {"wrong": 1})), "done"])
    mind = Contemplator(model, mode="instant", tools=[mail], approve=approve)
    assert (await mind.run("Tell all.")).text == "done"
    # Zoe is not known: the function fails, and so a person is asked. Wrong arguments are nobody's business.
    assert [call.arguments["to"] for call in asked] == ["bob", "eve", "zoe"]
    assert asked[0].why == "Bob is abroad"
    assert "could not be decided" in asked[2].why
    assert sorted(sent) == ["ann", "bob", "zoe"]


async def test_who_is_asked_may_leave_it_open_or_fail() -> None:
    model = ScriptedModel([calls(("mail", {"to": "ann"}))])
    mind = Contemplator(model, mode="instant", tools=[Office().mail()], approve=lambda call: None)
    assert (await mind.run("Tell Ann.")).status == "suspended"

    async def broken(call: PendingCall) -> bool:
        raise LookupError("no such person")

    result = await mind.run("Tell Ann.", run_id="r", approve=broken, model=one_mail())
    assert result.status == "suspended"
    assert "no such person" in result.notes[0]
    result = await mind.run("Tell Ann.", run_id="q", approve=lambda call: "yes", model=one_mail())  # type: ignore[arg-type,return-value]
    assert "is no decision" in result.notes[0]


async def test_errors_of_decisions_name_what_waits(tmp_path: Path) -> None:
    journal = f"sqlite:///{tmp_path}/runs.db"
    model = ScriptedModel([calls(("mail", {"to": "ann"}), ("mail", {"to": "bob"})), "done"])
    mind = Contemplator(model, mode="instant", tools=[Office().mail()], journal=journal)
    result = await mind.run("Tell both.")
    ann, bob = sorted(result.pending, key=lambda call: str(call.arguments))
    with pytest.raises(
        ConfigurationError, match=f"'nobody' waits.*{ann.id}.*{bob.id}|'nobody' waits.*{bob.id}.*{ann.id}"
    ):
        await mind.resume(result.run_id, {ann.id: True, "nobody": True})
    with pytest.raises(ConfigurationError, match="is no decision"):
        await mind.resume(result.run_id, {ann.id: "yes"})  # type: ignore[dict-item]
    with pytest.raises(ConfigurationError, match="the decisions are a list"):
        await mind.resume(result.run_id, [ann.id])  # type: ignore[call-overload]
    result = await mind.resume(result.run_id, {ann.id: True})
    assert result.pending == (bob,)
    # The same once more changes nothing; something else is refused.
    assert (await mind.resume(result.run_id, {ann.id: Approved()})).pending == (bob,)
    with pytest.raises(ConfigurationError, match=rf"was decided: Approved.*not Denied.*these wait: {bob.id}"):
        await mind.resume(result.run_id, {ann.id: False, bob.id: True})
    with pytest.raises(JournalError, match="is suspended, and waits for"):
        await mind.replay(result.run_id)
    with pytest.raises(JournalError, match="is suspended, and waits for"):
        await mind.reaggregate(result.run_id)
    with pytest.raises(JournalError, match="no run 'other'"):
        await mind.resume("other", {bob.id: True})
    assert (await mind.resume(result.run_id, {bob.id: True})).text == "done"
    assert (await mind.resume(result.run_id, {bob.id: True})).text == "done"
    assert len(model.requests) == 2
    with pytest.raises(ConfigurationError, match="none waits any more"):
        await mind.resume(result.run_id, {bob.id: False})


async def test_without_a_journal_of_the_users_a_run_is_kept_while_it_is_suspended() -> None:
    office = Office()
    mind = Contemplator(one_mail(), mode="instant", tools=[office.mail()])
    with pytest.raises(ConfigurationError, match="no journal"):
        await mind.resume("other")
    result = await mind.run("Tell Ann.", run_id="mine")
    again = await mind.run("Tell Ann.", run_id="mine")
    assert again.pending == result.pending
    await mind.resume("mine", {result.pending[0].id: True})
    with pytest.raises(ConfigurationError, match="no journal"):
        await mind.resume("mine")


async def test_that_somebody_is_asked_is_an_event_before_it_is_decided() -> None:
    told: list[str] = []

    async def approve(call: PendingCall) -> bool:
        told.append("asked")
        return True

    def heard(event: Event) -> None:
        if isinstance(event, CallWaiting):
            told.append(event.call.tool)

    mind = Contemplator(one_mail(), mode="instant", tools=[Office().mail()], on_event=heard)
    assert (await mind.run("Tell Ann.", approve=approve)).text == "done"
    assert told == ["mail", "asked"]


async def test_ask_takes_what_tools_are_given_and_what_it_draws_from() -> None:
    office, budget = Office(), Budget("all of us", calls=2)
    result = await ask(
        "Tell Ann.", model=one_mail(), mode="instant", tools=[office.mail()], approve=lambda call: True, budget=budget
    )
    assert result.text == "done"
    with pytest.raises(LimitExceeded):
        await ask("Tell Bob.", model=one_mail("bob"), mode="instant", budget=budget)

    @tool
    def whose(ctx: ToolContext[str]) -> str:
        """Tell whose it is."""
        return ctx.deps

    asked = await ask(
        "?", model=ScriptedModel([calls(("whose", {})), "done"]), mode="instant", tools=[whose], deps="Ann"
    )
    assert asked.tasks[0].messages[-2].text == "Ann"


async def test_a_stream_ends_with_what_the_run_waits_for() -> None:
    mind = Contemplator(one_mail(), mode="instant", tools=[Office().mail()])
    async with mind.stream("Tell Ann.") as run:
        events = [event async for event in run]
    assert isinstance(events[-1], RunSuspended)
    assert events[-1].pending == run.result.pending
    assert [event.call for event in events if isinstance(event, CallWaiting)] == [*run.result.pending]
    seen: list[Event] = []
    pending = run.result.pending[0]
    async with mind.resume_stream(run.result.run_id, {pending.id: True}, on_event=seen.append) as run:
        events = [event async for event in run]
    assert isinstance(events[-1], RunFinished)
    assert seen == events
    assert run.result.text == "done"


async def test_results_and_calls_are_plain_data() -> None:
    result = await ask("Tell Ann.", model=one_mail(), mode="instant", tools=[Office().mail()])
    assert result.status == "suspended"
    assert RunResult[Any].model_validate_json(result.model_dump_json()).pending == result.pending
    assert pickle.loads(pickle.dumps(result)).pending == result.pending
    assert json.loads(result.pending[0].model_dump_json())["arguments"] == {"to": "ann"}


async def test_one_run_may_have_its_own_approve() -> None:
    office = Office()
    mind = Contemplator(one_mail(), mode="instant", tools=[office.mail()], approve=lambda call: False)
    assert (await mind.run("Tell Ann.", approve=lambda call: True)).text == "done"
    assert office.sent == ["ann"]


async def test_a_limit_on_calls_holds_for_the_whole_run() -> None:
    model = ScriptedModel([calls(("mail", {"to": "ann"})), calls(("mail", {"to": "bob"})), "done"])
    mind = Contemplator(model, mode="instant", tools=[Office().mail()], limits=Limits(calls=2))
    result = await mind.run("Tell Ann.")
    result = await mind.resume(result.run_id, {result.pending[0].id: True})
    with pytest.raises(ContemplateError, match=r"Limits\.calls = 2"):
        await mind.resume(result.run_id, {result.pending[0].id: True})
    assert len(model.requests) == 2


def test_from_synchronous_code() -> None:
    mind = Contemplator(one_mail(), mode="instant", tools=[Office().mail()])
    result = mind.run_sync("Tell Ann.")
    assert mind.resume_sync(result.run_id, {result.pending[0].id: True}).text == "done"
