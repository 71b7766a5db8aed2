"""Every value object is what its JSON says, and what its pickle says; it is frozen and closed."""

from __future__ import annotations

import pickle
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from contemplate import (
    Approved,
    Denied,
    Limits,
    Message,
    ModelSettings,
    PendingCall,
    Plan,
    Price,
    Returned,
    RunResult,
    Task,
    TaskResult,
    Usage,
    events,
    models,
)
from contemplate.data import Data
from contemplate.decisions import HeldCall
from contemplate.events import OutputDelta, TaskDelta
from contemplate.messages import ImagePart, ProviderData, TextPart, ToolCall
from contemplate.models import ModelResponse, TokenLogprob
from contemplate.models.openai.lessons import Lesson
from contemplate.models.openai.profile import Profile
from contemplate.models.probes.report import Finding, Report
from contemplate.models.schemas.dialects import Rules
from contemplate.models.wrappers.rate_limit import AccountState
from contemplate.plan import Program
from contemplate.result import Citation, Conclusion, Dissent, ErrorInfo

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.text("abc123é", min_size=1, max_size=4)
COUNTS = st.integers(0, 10**12)
SECONDS = st.floats(0, allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=3).map(tuple)


def drawn(kind: type[Data], /, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **fields)


IMAGES = drawn(ImagePart, url=st.none() | TEXT, data=st.none() | st.binary(max_size=20), media_type=TEXT)
PARTS = drawn(TextPart, text=TEXT) | IMAGES
PROVIDER_DATA = drawn(ProviderData, provider=TEXT, fields=st.dictionaries(TEXT, JSON, max_size=3))
CALLS = drawn(ToolCall, id=TEXT, name=TEXT, arguments=TEXT, provider_data=st.none() | PROVIDER_DATA)
MESSAGES = drawn(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    parts=some(PARTS),
    tool_calls=some(CALLS),
    tool_call_id=st.none() | TEXT,
    provider_data=st.none() | PROVIDER_DATA,
)
PROFILES = drawn(Profile, left_out=st.frozensets(TEXT, max_size=3), context_tokens=st.none() | st.integers(1, 10**12))
TIMES = st.floats(0, 1e12)
SPENT = some(st.tuples(TIMES, TIMES))
SETTINGS = drawn(
    ModelSettings,
    temperature=st.none() | st.floats(0, 9),
    top_p=st.none() | st.floats(0.001, 1),
    max_tokens=st.none() | st.integers(1),
    seed=st.none() | st.integers(),
    stop=st.none() | some(TEXT),
    reasoning_effort=st.sampled_from([None, "none", "high"]),
    logprobs=st.none() | st.integers(0, 20),
    timeout=st.none() | st.floats(0.001, allow_nan=False),
    extra=st.none() | st.dictionaries(TEXT, JSON, max_size=3),
)
USAGE = drawn(
    Usage,
    calls=COUNTS,
    input_tokens=COUNTS,
    cached_input_tokens=COUNTS,
    output_tokens=COUNTS,
    reasoning_tokens=COUNTS,
    cost_usd=st.none() | st.floats(0, 1e6),
)
COSTS = st.floats(0, 1e6)
LIMITS = drawn(
    Limits,
    seconds=st.none() | st.floats(0.001, allow_nan=False),
    total_tokens=st.none() | st.integers(1),
    output_tokens=st.none() | st.integers(1),
    cost_usd=st.none() | st.floats(0.001, 1e6),
    calls=st.none() | st.integers(1),
    tasks=st.none() | st.integers(1),
    concurrency=st.none() | st.integers(1),
)
PROGRAMS = drawn(
    Program,
    seconds=st.floats(0.001, 1e6),
    memory_mib=st.integers(1),
    output_kib=st.integers(1),
    repairs=st.integers(0),
)
TASKS = drawn(
    Task,
    id=NAMES,
    prompt=TEXT,
    needs=some(NAMES),
    kind=st.sampled_from(["part", "candidate", "answer"]),
    title=st.none() | TEXT,
    instructions=st.none() | TEXT,
    model=st.none() | TEXT,
    settings=st.none() | SETTINGS,
    program=st.none() | PROGRAMS,
    samples=st.integers(1, 99),
    tools=st.none() | some(NAMES),
)


def plan_of(names: list[str]) -> Plan:
    return Plan(
        tasks=tuple(Task(id=name, prompt="", needs=tuple(names[:place][-2:])) for place, name in enumerate(names))
    )


PLANS = st.lists(NAMES, unique=True, max_size=4).map(plan_of)
ERRORS = drawn(ErrorInfo, kind=TEXT, message=TEXT, hint=st.none() | TEXT)
DISSENT = drawn(Dissent, answer=TEXT, tasks=some(NAMES))
CITATIONS = drawn(Citation, start=COUNTS, end=COUNTS, marks_end=COUNTS, tasks=some(NAMES))
RESULTS = drawn(
    TaskResult,
    task=TASKS,
    outcome=st.sampled_from(["answered", "capped", "failed", "cancelled", "suspended"]),
    text=TEXT,
    output=JSON,
    images=some(IMAGES),
    error=st.none() | ERRORS,
    usage=USAGE,
    model=st.none() | TEXT,
    index=COUNTS,
    started=SECONDS,
    seconds=SECONDS,
    messages=some(MESSAGES),
    support=some(NAMES),
    dissent=some(DISSENT),
    complete=st.booleans(),
)
PENDING = drawn(
    PendingCall,
    id=TEXT,
    run_id=TEXT,
    task=st.none() | TEXT,
    tool=TEXT,
    arguments=st.dictionaries(TEXT, JSON, max_size=3),
    why=TEXT,
    kind=st.sampled_from(["approval", "external"]),
)
DECISIONS = (
    st.builds(Approved, st.none() | st.dictionaries(TEXT, JSON, max_size=3))
    | st.builds(Denied, TEXT)
    | st.builds(Returned, JSON, st.none() | TEXT)
)
CONCLUSIONS = drawn(
    Conclusion,
    text=TEXT,
    output=JSON,
    images=some(IMAGES),
    support=some(NAMES),
    citations=some(CITATIONS),
    dissent=some(DISSENT),
    complete=st.booleans(),
)
RUNS = drawn(
    RunResult[str],
    run_id=TEXT,
    question=TEXT,
    output=TEXT,
    text=TEXT,
    images=some(IMAGES),
    plan=PLANS,
    tasks=some(RESULTS),
    usage=USAGE,
    seconds=SECONDS,
    complete=st.booleans(),
    missing=some(NAMES),
    stopped_by=st.none() | TEXT,
    support=some(NAMES),
    citations=some(CITATIONS),
    dissent=some(DISSENT),
    notes=some(TEXT),
    pending=some(PENDING),
)
LOGPROBS = drawn(
    TokenLogprob,
    token=TEXT,
    logprob=st.floats(max_value=0, allow_nan=False),
    top=st.dictionaries(TEXT, st.floats(max_value=0, allow_nan=False), max_size=3),
)
CONDENSED = drawn(models.Condensed, turns=COUNTS, tokens_before=COUNTS, tokens_after=COUNTS)
RESPONSES = drawn(
    ModelResponse,
    message=MESSAGES,
    finish=st.sampled_from(["stop", "length", "tool_calls", "content_filter", "refusal"]),
    usage=USAGE,
    model=TEXT,
    reasoning=TEXT,
    logprobs=st.none() | some(LOGPROBS),
    condensed=st.none() | CONDENSED,
    room=st.none() | COUNTS,
)
FINDINGS = drawn(
    Finding, name=TEXT, verdict=st.sampled_from(["ok", "learnt", "no", "error"]), detail=TEXT, calls=COUNTS
)
REPORTS = drawn(
    Report,
    model=TEXT,
    findings=some(FINDINGS),
    profile=st.dictionaries(TEXT, JSON, max_size=3),
    profile_code=TEXT,
    usage=USAGE,
    seconds=SECONDS,
    whole=st.booleans(),
)
SPEAKERS = st.sampled_from(["planner", "subagent", "aggregator"])
CALL_NAMES = drawn(events.CallName, run=TEXT, path=TEXT, role=SPEAKERS, task=st.none() | TEXT, turn=COUNTS)
EVENTS: dict[type[Data], st.SearchStrategy[Any]] = {
    events.RunStarted: drawn(events.RunStarted, run_id=TEXT, question=TEXT, model=TEXT),
    events.PlanDelta: drawn(events.PlanDelta, text=TEXT),
    events.TaskPlanned: drawn(events.TaskPlanned, task=TASKS),
    events.Noted: drawn(events.Noted, message=TEXT),
    events.PlanReady: drawn(events.PlanReady, plan=PLANS),
    events.TaskStarted: drawn(events.TaskStarted, task_id=TEXT, model=TEXT),
    events.TaskTold: drawn(events.TaskTold, task_id=TEXT, text=TEXT),
    events.TaskDelta: drawn(events.TaskDelta, task_id=TEXT, text=TEXT, reasoning=TEXT, restart=st.booleans()),
    events.ToolStarted: drawn(events.ToolStarted, task_id=TEXT, tool=TEXT, call_id=TEXT, arguments=TEXT),
    events.ToolProgress: drawn(events.ToolProgress, task_id=TEXT, tool=TEXT, call_id=TEXT, message=TEXT),
    events.ToolFinished: drawn(
        events.ToolFinished, task_id=TEXT, tool=TEXT, call_id=TEXT, seconds=SECONDS, error=st.none() | ERRORS, text=TEXT
    ),
    events.ContextCondensed: drawn(
        events.ContextCondensed, task_id=TEXT, turns=COUNTS, tokens_before=COUNTS, tokens_after=COUNTS
    ),
    events.TaskFinished: drawn(events.TaskFinished, result=RESULTS),
    events.VoteCounted: drawn(
        events.VoteCounted, task_id=TEXT, votes=st.dictionaries(TEXT, COUNTS, max_size=3), decided=st.booleans()
    ),
    events.StandingsChanged: drawn(
        events.StandingsChanged,
        points=st.dictionaries(TEXT, SECONDS, max_size=3),
        decided=st.booleans(),
        round=st.none() | COUNTS,
        pair=st.none() | st.tuples(TEXT, TEXT),
        score=st.none() | st.floats(0, 1),
    ),
    events.CallStarted: drawn(events.CallStarted, name=CALL_NAMES, model=TEXT),
    events.CallQueued: drawn(
        events.CallQueued, name=CALL_NAMES, behind=st.none() | st.sampled_from(get_args(events.Queue)), at=SECONDS
    ),
    events.CallRepeated: drawn(
        events.CallRepeated, name=CALL_NAMES, reason=st.sampled_from(get_args(events.Again)), message=TEXT, at=SECONDS
    ),
    events.ModelCalled: drawn(
        events.ModelCalled,
        name=CALL_NAMES,
        model=TEXT,
        usage=USAGE,
        seconds=SECONDS,
        finish=st.none() | TEXT,
        error=st.none() | ERRORS,
        queued=SECONDS,
        first=st.none() | SECONDS,
    ),
    events.LimitReached: drawn(events.LimitReached, limit=TEXT),
    events.OutputDelta: drawn(events.OutputDelta, text=TEXT, reasoning=TEXT, restart=st.booleans()),
    events.RunFinished: drawn(
        events.RunFinished,
        run_id=TEXT,
        text=TEXT,
        usage=USAGE,
        seconds=SECONDS,
        complete=st.booleans(),
        stopped_by=st.none() | TEXT,
        support=some(TEXT),
        dissent=some(DISSENT),
        answer=st.none() | TEXT,
        citations=some(CITATIONS),
        votes=st.dictionaries(TEXT, COUNTS, max_size=3),
        points=st.dictionaries(TEXT, SECONDS, max_size=3),
    ),
    events.CallWaiting: drawn(events.CallWaiting, run_id=TEXT, call=PENDING),
    events.RunSuspended: drawn(events.RunSuspended, run_id=TEXT, pending=some(PENDING), usage=USAGE, seconds=SECONDS),
    events.RunFailed: drawn(events.RunFailed, run_id=TEXT, error=ERRORS, usage=USAGE, seconds=SECONDS),
}
VALUES: dict[type[Data], st.SearchStrategy[Any]] = {
    TextPart: drawn(TextPart, text=TEXT),
    ImagePart: IMAGES,
    ProviderData: PROVIDER_DATA,
    Profile: PROFILES,
    Lesson: drawn(Lesson, changes=st.dictionaries(TEXT, JSON, max_size=3), words=TEXT),
    Finding: FINDINGS,
    Report: REPORTS,
    ToolCall: CALLS,
    Message: MESSAGES,
    ModelSettings: SETTINGS,
    Usage: USAGE,
    Limits: LIMITS,
    Price: drawn(Price, input=COSTS, output=COSTS, cached_input=st.none() | COSTS),
    Program: PROGRAMS,
    Task: TASKS,
    Plan: PLANS,
    ErrorInfo: ERRORS,
    PendingCall: PENDING,
    HeldCall: drawn(HeldCall, call=PENDING, decision=st.none() | DECISIONS),
    TaskResult: RESULTS,
    Dissent: DISSENT,
    Citation: CITATIONS,
    Conclusion: CONCLUSIONS,
    RunResult[str]: RUNS,
    TokenLogprob: LOGPROBS,
    ModelResponse: RESPONSES,
    models.Condensed: CONDENSED,
    AccountState: drawn(
        AccountState,
        requests=SPENT,
        tokens=SPENT,
        size=st.none() | TIMES,
        out=st.integers(0),
        paused_until=st.none() | TIMES,
        in_doubt=st.booleans(),
    ),
    events.CallName: CALL_NAMES,
    **EVENTS,
}
EVENT: TypeAdapter[events.Event] = TypeAdapter(events.Event)


def every_kind(base: type[Data]) -> set[type[Data]]:
    """All classes below `base` in the package, without the parametrised ones and those of the adapters."""
    found: set[type[Data]] = set()
    for kind in base.__subclasses__():
        found |= {kind} | every_kind(kind)
    return {kind for kind in found if kind.__module__.startswith("contemplate.") and "[" not in kind.__name__}


def test_no_class_is_forgotten() -> None:
    assert models.ModelResponse in every_kind(Data)
    drawn_here = {kind if "[" not in kind.__name__ else RunResult for kind in VALUES}
    core = {kind for kind in every_kind(Data) if kind.__module__.split(".")[1] not in ("cli", "server")}
    assert {kind for kind in core if kind.__module__.split(".")[1] in PLAIN} == drawn_here | {events.RunEvent, Rules}


PLAIN = ("messages", "settings", "limits", "usage", "decisions", "plan", "result", "events", "models")


def test_every_event_says_of_which_run_it_is() -> None:
    assert all(issubclass(kind, events.RunEvent) for kind in EVENTS)


def test_every_event_is_in_the_union() -> None:
    union = get_args(get_args(events.Event)[0])
    assert set(union) == set(EVENTS)
    kinds = [kind.model_fields["kind"].default for kind in union]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_round_trip(kind: type[Data], data: st.DataObject) -> None:
    value = data.draw(VALUES[kind])
    assert type(value).model_validate_json(value.model_dump_json()) == value
    assert type(value).model_validate(value.model_dump()) == value
    if "[" not in kind.__name__:
        assert pickle.loads(pickle.dumps(value)) == value


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(*EVENTS.values()))
def test_an_event_is_told_apart_by_its_kind(event: events.Event) -> None:
    again = EVENT.validate_json(event.model_dump_json())
    assert type(again) is type(event)
    assert again == event


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_closed_and_frozen(kind: type[Data]) -> None:
    assert kind.model_config["frozen"]
    with pytest.raises(ValidationError, match="Extra inputs|extra_forbidden"):
        kind.model_validate({"no such field": 1})


class Verdict(BaseModel):
    holds: bool
    reasons: tuple[str, ...] = ()


class Strict(Verdict):
    sure: float = 1.0


@pytest.mark.parametrize(
    ("kind", "output"),
    [(Verdict, Verdict(holds=True, reasons=("a",))), (list[int], [1, 2]), (int, 3), (dict[str, float], {"a": 1.5})],
)
def test_a_result_in_any_output_type(kind: Any, output: object) -> None:
    result = RunResult[kind](run_id="r", question="q", output=output, text="")
    assert RunResult[kind].model_validate_json(result.model_dump_json()).output == output


def test_a_subclass_of_the_output_type_is_dumped_whole() -> None:
    result = RunResult[Verdict](run_id="r", question="q", output=Strict(holds=True, sure=0.5), text="")
    assert RunResult[Strict].model_validate_json(result.model_dump_json()).output == Strict(holds=True, sure=0.5)


def test_what_is_not_finite_has_a_place_in_json() -> None:
    assert Limits.model_validate_json(Limits(seconds=float("inf")).model_dump_json()).seconds == float("inf")


@given(st.text(), st.text(), st.booleans())
def test_pieces_are_what_checked_ones_are(text: str, reasoning: str, restart: bool) -> None:
    said: dict[str, Any] = {"text": text, "reasoning": reasoning, "restart": restart}
    pairs: tuple[tuple[Data, Data], ...] = (
        (TaskDelta.of("1", text, reasoning, restart), TaskDelta(task_id="1", **said)),
        (OutputDelta.of(text, reasoning, restart), OutputDelta(**said)),
    )
    for made, checked in pairs:
        assert made == checked
        assert made.model_dump_json() == checked.model_dump_json()
        assert made.model_copy(update={"text": ""}) == checked.model_copy(update={"text": ""})
        with pytest.raises(ValidationError, match="frozen"):
            made.restart = True  # type: ignore[attr-defined]
