"""Typed reviews whose quotes must stand in the contract."""

from __future__ import annotations

import json

import pytest

from contemplate.errors import AggregationError
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel
from examples.recipes.contract_review import review

CONTRACT = "1. The seller delivers\nwithin ten days.\n2. All claims lapse after a week."


def reviewed(quote: str) -> str:
    clause = {"title": "Delivery", "quote": "The seller delivers within ten days."}
    return json.dumps({"clauses": [clause], "risks": [{"severity": "high", "why": "short", "quote": quote}]})


class Lawyer:
    """Reviews with a quote of his own, until he is told that it does not stand there; and he judges."""

    def __init__(self, *, learns: bool) -> None:
        self.learns = learns
        self.told = 0

    def __call__(self, request: ModelRequest) -> str:
        text = "\n".join(message.text for message in request.messages)
        if request.output_schema is not None and "best" in str(request.output_schema.schema):
            return '{"reason": "it is complete", "best": "1"}'
        if "these quotes do not stand in the contract: ['Claims never lapse.']" not in text:
            return reviewed("Claims never lapse.")
        self.told += 1
        return reviewed("All claims lapse after a week." if self.learns else "Claims never lapse.")


def test_a_quote_that_does_not_stand_there_is_mended() -> None:
    lawyer = Lawyer(learns=True)
    result = review(CONTRACT, ScriptedModel(lawyer))
    assert [risk.quote for risk in result.output.risks] == ["All claims lapse after a week."]
    # It is known whatever the line breaks.
    assert result.output.clauses[0].quote == "The seller delivers within ten days."
    assert lawyer.told == 3


def test_a_review_that_cannot_be_mended_is_none() -> None:
    with pytest.raises(AggregationError, match="these quotes do not stand in the contract") as raised:
        review(CONTRACT, ScriptedModel(Lawyer(learns=False)))
    assert raised.value.partial is not None
    assert [task.outcome for task in raised.value.partial.tasks] == ["failed"] * 3
    assert raised.value.partial.usage.calls == 9
