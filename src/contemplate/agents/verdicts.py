"""Verdicts on solutions: lists of faults, and what functions, tools and programs say in their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json

from ..answers.math import math
from ..answers.numbers import constant
from ..data import Data, Text
from ..errors import ConfigurationError
from ..prompts import Prompts

# What a program prints of a solution without faults.
GOOD = "correct"


class Fault(Data):
    """A fault of a solution. One that is not `critical` is a gap: a step that may be right, but is not shown to be."""

    what: Text
    critical: bool = True


class Verdict(Data):
    """What a verifier found: the faults of a solution, none if it found none."""

    faults: tuple[Fault, ...] = ()

    @property
    def critical(self) -> tuple[Fault, ...]:
        """The faults for which the solution is not accepted."""
        return tuple(each for each in self.faults if each.critical)

    @property
    def gaps(self) -> tuple[Fault, ...]:
        """The other faults."""
        return tuple(each for each in self.faults if not each.critical)

    def text(self, prompts: Prompts) -> str:
        """Return it as a text, for whoever mends the solution and for people."""
        if not self.faults:
            return prompts.render("verify_no_faults")
        names = {True: "verify_critical", False: "verify_gap"}
        return "\n".join(prompts.render(names[each.critical], fault=each.what) for each in self.faults)


Found = bool | str | Sequence[str | Fault]
"""What a function says of a solution: whether it is good, what is wrong, or a list of faults, perhaps empty."""


def verdict_of(found: object, prompts: Prompts) -> Verdict:
    """Return the verdict that a function means by what it returned.

    Raises:
        ConfigurationError: it means none.
    """
    if isinstance(found, bool):
        return Verdict() if found else _failed("", prompts)
    if isinstance(found, str):
        return _failed(found, prompts)
    if not isinstance(found, Sequence) or not all(isinstance(each, str | Fault) for each in found):
        raise ConfigurationError(
            f"the verifier returned {found!r:.100}",
            hint="return True, False, a text that says what is wrong, or a list of texts or `planners.Fault`",
        )
    return Verdict(faults=tuple(each if isinstance(each, Fault) else Fault(what=each) for each in found))


def tool_verdict(text: str, prompts: Prompts) -> Verdict:
    """Return the verdict that a tool means, of whose result there is only the text.

    Raises:
        ConfigurationError: it means none.
    """
    found: Any = text
    try:
        value = from_json(text)
    except ValueError:
        pass
    else:
        found = value if isinstance(value, bool | list) else text
    return verdict_of(found, prompts)


def program_verdict(printed: str, prompts: Prompts) -> Verdict:
    """Return the verdict that a program printed."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    if lines and lines[-1].rstrip(".!").casefold() == GOOD:
        return Verdict()
    return Verdict(faults=tuple(Fault(what=line) for line in lines)) if lines else _failed("", prompts)


def written_program_verdict(printed: str, solution: str, prompts: Prompts) -> Verdict:
    """Return the verdict that a program printed which a model wrote.

    Small models write one that works out the answer, and prints that. A number is compared with the solution's.
    """
    calculated = constant(printed.strip())
    if calculated is None:
        return program_verdict(printed, prompts)
    if math(solution) == math(calculated):
        return Verdict()
    return _failed(prompts.render("verify_other_result", found=printed.strip()), prompts)


def _failed(problem: str, prompts: Prompts) -> Verdict:
    return Verdict(faults=(Fault(what=problem.strip() or prompts.render("check_failed")),))
