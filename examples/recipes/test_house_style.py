"""What models are told, and whether no default prompt of another style slipped in."""

from house_style import adviser

from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel

PLAN = '{"tasks": [{"title": "Fees", "prompt": "What fees?"}, {"title": "Steps", "prompt": "Which steps?"}]}'


def by_role(request: ModelRequest) -> str:
    """Plan, answer the parts, and merge them, in the order in which that is asked."""
    told = "\n".join(message.text for message in request.messages)
    if "Always plan a task on fees." in told:
        return PLAN
    return "5 euros." if "price list of 2026" in told else "Call us. It costs 5 euros."


def test_each_role_is_told_the_house_style() -> None:
    model = ScriptedModel(by_role)
    result = adviser(model).run_sync("How do I close my account?")
    assert result.output == "Call us. It costs 5 euros."
    assert [each.task.title for each in result.tasks] == ["Fees", "Steps"]
    merge = "\n".join(message.text for message in model.requests[-1].messages)
    assert "for a customer of a bank" in merge
    assert "5 euros." in merge
