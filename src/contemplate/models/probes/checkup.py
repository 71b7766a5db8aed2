"""`check`: try out what a model can do, one small thing after the other."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

import anyio

from ...errors import ModelAuthError, ModelError, ModelRequestError, error_info
from ..base import Connectable, Model
from ..registry import resolve
from . import answers, load, schemas, tools
from .bench import Bench, Outcome
from .report import Finding, Report

Probe = Callable[[Bench], Awaitable[Outcome]]

SECONDS = 60.0
SHOWN = 300

# In this order: the first says whether there is anybody, and some look at what earlier ones found.
PROBES: Mapping[str, Probe] = {
    "answer": answers.answer,
    "usage": answers.usage,
    "reasoning": answers.reasoning,
    "streaming": answers.streaming,
    "max_tokens": answers.max_tokens,
    "system role": answers.system_role,
    "sampling": answers.sampling,
    "seed": answers.seed,
    "stop": answers.stop,
    "reasoning_effort": answers.reasoning_effort,
    "logprobs": answers.logprobs,
    "images": answers.images,
    "tool": tools.tool,
    "tool result": tools.tool_result,
    "two tools at once": tools.tools_at_once,
    "tool required": tools.tool_required,
    "schema": schemas.schema,
    "tools with schema": tools.tools_with_schema,
    **{f"schema: {form}": schemas.schema_in(form) for form in schemas.FORMS},
    "cancellation": load.cancellation,
    "eight at once": load.at_once,
    "prefix cache": load.prefix_cache,
}


class Checkup:
    """A check of a model, whose report can be read at any time.

    Args:
        model: the model, or its name; None is the default one.
        seconds: how long each thing may take.
    """

    def __init__(self, model: str | Model | None = None, *, seconds: float = SECONDS) -> None:
        given = resolve(model)
        self._name = given.name
        self._bench = Bench(given)
        self._seconds = seconds
        self._findings: list[Finding] = []
        self._begun = time.monotonic()
        self._whole = False

    async def run(self, tell: Callable[[Finding], None] | None = None) -> Report:
        """Try everything, tell each finding as it is made, and return the report.

        If the model does not answer at all, nothing else is tried. No error of a model is raised.
        """
        first, *others = PROBES
        if (await self._try(first, tell)).verdict != "error":
            # Only now: connecting takes a moment, and whether there is anybody is known at once.
            async with AsyncExitStack() as stack:
                if isinstance(self._bench.model, Connectable):
                    await stack.enter_async_context(self._bench.model.connect())
                for name in others:
                    await self._try(name, tell)
        self._whole = True
        return self.report()

    def report(self) -> Report:
        """Return what is known so far."""
        return Report(
            model=self._name,
            findings=tuple(self._findings),
            profile=self._bench.profile_json(),
            profile_code=self._bench.profile_code(),
            usage=self._bench.usage(),
            seconds=time.monotonic() - self._begun,
            whole=self._whole,
        )

    async def _try(self, name: str, tell: Callable[[Finding], None] | None) -> Finding:
        finding = await self._finding(name)
        self._findings.append(finding)
        if tell is not None:
            tell(finding)
        return finding

    async def _finding(self, name: str) -> Finding:
        bench, begun = self._bench, time.monotonic()
        before, calls, notes = bench.profile, bench.calls, len(bench.notes)
        try:
            with anyio.fail_after(self._seconds):
                outcome = await PROBES[name](bench)
        except TimeoutError:
            outcome = Outcome("error", f"not over within {self._seconds:g} s")
        except (ModelRequestError, ModelAuthError) as error:
            # Without an answer to the first question there is nobody to say no.
            outcome = Outcome("error" if name == "answer" else "no", _words(error))
        except ModelError as error:
            outcome = Outcome("error", _words(error))
        except Exception as error:
            info = error_info(error)
            outcome = Outcome("error", f"{info.kind}: {info.message}")
        if outcome.verdict in ("ok", "no") and bench.profile != before:
            told = "; ".join(bench.notes[notes:]) or "the server refused how it was asked for at first"
            works = outcome.verdict == "ok"
            outcome = Outcome("learnt", told) if works else Outcome("no", f"{outcome.detail}; {told}")
        return Finding(
            name=name,
            verdict=outcome.verdict,
            detail=_line(outcome.detail),
            seconds=time.monotonic() - begun,
            calls=bench.calls - calls,
        )


async def check(
    model: str | Model | None = None,
    *,
    seconds: float = SECONDS,
    tell: Callable[[Finding], None] | None = None,
) -> Report:
    """Find out what a model can do and how it wants to be asked, by about thirty small calls.

    It is asked for a plain answer, a stream, a cut-off, settings, an image, tools, schemas in each form, eight answers
    at once, and a long prompt twice. If the first call fails, no other is made. No error of a model is raised.

    Example:
        report = await models.check("http://localhost:8000/v1#llama")
        print(report.profile_code)

    Args:
        model: the model, or its name; None is the default one.
        seconds: how long each thing may take.
        tell: called with each finding as it is made.

    Raises:
        ConfigurationError: the name has no known form, or the model cannot be set up.
    """
    return await Checkup(model, seconds=seconds).run(tell)


def _words(error: ModelError) -> str:
    return str(error).removeprefix(f"{error.model}: ")


def _line(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN else flat[:SHOWN] + "..."
