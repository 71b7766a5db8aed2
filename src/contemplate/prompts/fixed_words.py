"""Words in prompts that code reads in what a model answers: a prompt in another language must keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_PLAN = ('"title"', '"prompt"', '"needs"')
_PROGRAM = ("```python",)

FIXED_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "agentic_question": ('"reason"', '"support"', '"solution"'),
    "answer_line": ("Answer:",),
    "judge_candidates": ('"reason"', '"best"'),
    "judge_pair": ('"reason"', '"better"', '"equal"'),
    "kept_aside": ("read_result", "search_result"),
    "plan": _PLAN,
    "plan_format": ('"tasks"', *_PLAN),
    "plan_roles": ('"role"',),
    "plan_samples": ('"samples"',),
    "plan_tools": ('"tools"',),
    "program_answer": ("Answer: $answer",),
    "program_failed": _PROGRAM,
    "program_check": ('"why"', '"holds"'),
    "program_judge": ('"why"', '"best"'),
    "program_mend": _PROGRAM,
    "program_missing": _PROGRAM,
    "program_plan": (*_PROGRAM, "from tools import ask, parallel, vote, check, judge, note, answer"),
    "prompted_tools": ('"tool"', '"arguments"', '"answer"'),
    "refine": ("NO CHANGE",),
    "repair_plan": ('"tasks"', *_PLAN),
    "same_meaning": ('"same"', "true", "false"),
    "synthesis_ask": ("ASK 1, 2:",),
    "synthesis_cite": ("[1]", "[1, 3]"),
    "synthesis_cite_found": ("[point 1]",),
    "synthesis_ask_in_form": ('"ask"', '"answer"'),
    "strategy_code": _PROGRAM,
    "strategy_code_output": ("json.dumps",),
    "strategy_code_tools": ("from tools import $names",),
    "verify_program": ("CORRECT",),
    "verify_question": ('"steps"', '"step"', '"why"', '"fault"', '"none"', '"gap"', '"critical"'),
}
"""The words by the names of the prompts. Placeholders must be kept in all prompts, and are not repeated here."""
