"""Prompts of one's own: each reaches the model, and none can break a run; instructions by role."""

from __future__ import annotations

import pickle
import re
from collections.abc import AsyncIterator
from pathlib import Path
from string import Template
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import contemplate
from contemplate import Agent, Contemplator, Prompts, RunContext, Task, aggregators, planners, strategies
from contemplate.errors import ConfigurationError
from contemplate.journal import Journal
from contemplate.models import ModelRequest
from contemplate.models.tokens import request_tokens
from contemplate.prompts import DEFAULTS, render
from contemplate.prompts.fixed_words import FIXED_WORDS
from contemplate.prompts.prompt_texts import PromptTexts
from contemplate.prompts.templates import names, template
from contemplate.testing import ScriptedModel

from .every_prompt import MARKED, all_told, marker

PLAN = '{"tasks": [{"title": "a", "prompt": "p", "needs": []}, {"title": "b", "prompt": "p2", "needs": []}]}'
DOCS = Path(__file__).parent.parent / "docs" / "prompts.md"


@pytest.fixture(scope="module")
def told() -> str:
    """All that is told in runs that use every prompt, each with a mark of its own."""
    pytest.importorskip("pydantic_monty")
    pytest.importorskip("mcp")
    pytest.importorskip("starlette")
    return anyio.run(all_told, MARKED)


@pytest.mark.parametrize("name", names())
def test_each_prompt_is_that_of_the_run(told: str, name: str) -> None:
    assert marker(name) in told
    # Nowhere is it the default's text instead.
    beginning = re.split(r"[\n$]", template(name).template)[0]
    if len(beginning) > 20:
        assert told.count(beginning) == told.count(f"{marker(name)} {beginning}")


def test_the_names_are_known_to_type_checkers() -> None:
    assert tuple(sorted(PromptTexts.__annotations__)) == names()


def test_the_defaults_are_rendered_outside_of_runs_only() -> None:
    source = Path(contemplate.__file__).parent
    bare = [path for path in source.rglob("*.py") if re.search(r"(?<![.\w])render\(\"", path.read_text("utf-8"))]
    assert {str(path.relative_to(source).parent) for path in bare if path.name != "strategies.py"} == {"models/probes"}


@pytest.mark.parametrize("name", names())
def test_each_default_is_a_prompt_of_ones_own(name: str) -> None:
    assert own(name, template(name).template).texts == {name: template(name).template}


def test_the_words_that_code_reads_are_in_the_defaults_and_in_the_docs() -> None:
    assert FIXED_WORDS.keys() <= set(names())
    page = DOCS.read_text("utf-8")
    for name, words in FIXED_WORDS.items():
        line = next(each for each in page.splitlines() if each.startswith("|") and f"`{name}`" in each)
        assert all(word in line for word in words), name


def own(name: str, text: Any) -> Prompts:
    return Prompts(**{name: text})


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("synthesys", "x", r"Prompts\(\.\.\.\): there is no prompt 'synthesys' \(did you mean 'synthesis'\?\)"),
        ("zzzz", "x", "no prompt 'zzzz' .*`contemplate prompts`"),
        ("synthesis", " \n", "'synthesis' is empty"),
        ("synthesis", 5, "'synthesis' is a int"),
        ("synthesis", "Das kostet $5", r"'synthesis' has a \$ that begins no placeholder .*\$\$"),
        ("synthesis", "Die Frage: $question", r"'synthesis' does not know \$question \(it has none"),
        ("plan_question", "$frage $question", r"does not know \$frage \(it has \$question"),
        ("plan_question", "Die Frage", r"'plan_question' lacks \$question"),
        ("answer_line", "Ende mit Antwort: ...", "'answer_line' lacks Answer:, which code reads"),
        ("judge_candidates", '$question $mark $candidates $criteria {"reason": ...}', 'lacks "best"'),
        ("program_answer", "$program $printed Antwort: $answer", r"lacks Answer: \$answer"),
    ],
)
def test_what_would_break_a_run_is_refused(tmp_path: Path, name: str, text: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        own(name, text)
    if isinstance(text, str):
        (tmp_path / f"{name}.md").write_text(text, "utf-8")
        with pytest.raises(ConfigurationError) as raised:
            Prompts.from_folder(tmp_path)
        assert str(tmp_path / f"{name}.md") in str(raised.value)


@pytest.mark.parametrize("name", FIXED_WORDS)
def test_a_prompt_that_lost_a_word_that_code_reads_is_refused(name: str) -> None:
    for words in FIXED_WORDS[name]:
        lost = template(name).template.replace(words, re.sub(r"[A-Za-z]{3}|\d", "xyz", words, count=1))
        with pytest.raises(ConfigurationError, match=f"'{name}' lacks|'{name}' does not know"):
            own(name, lost)


@pytest.mark.parametrize("name", names())
def test_a_prompt_that_lost_a_placeholder_is_refused(name: str) -> None:
    for placeholder in template(name).get_identifiers():
        lost = re.sub(rf"\${placeholder}\b", "", template(name).template)
        with pytest.raises(ConfigurationError, match=rf"\${placeholder}"):
            own(name, lost or "x")


def test_a_folder_holds_prompts_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "synthesis.md").write_text("  Fasse zusammen.\n", "utf-8")
    (tmp_path / ".DS_Store").write_text("x")
    assert Prompts.from_folder(tmp_path) == Prompts(synthesis="Fasse zusammen.")
    assert Prompts.from_folder(str(tmp_path)).render("synthesis") == "Fasse zusammen."
    for name in ("judge.txt", "README.md"):
        other = tmp_path / name
        other.write_text("x")
        with pytest.raises(ConfigurationError, match=re.escape(name.removesuffix(".md"))):
            Prompts.from_folder(tmp_path)
        other.unlink()
    (tmp_path / "judge.md").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="judge.md cannot be read"):
        Prompts.from_folder(tmp_path)
    with pytest.raises(ConfigurationError, match="no folder of prompts"):
        Prompts.from_folder(tmp_path / "none")


def test_prompts_are_data() -> None:
    one, other = Prompts(synthesis="a", judge="b"), Prompts(judge="b", synthesis="a")
    assert one == other == pickle.loads(pickle.dumps(one))
    assert hash(one) == hash(other)
    assert one != DEFAULTS
    assert Prompts() == DEFAULTS
    with pytest.raises(AttributeError):
        one.texts = {}  # type: ignore[misc]


@given(st.sampled_from(names()), st.text() | st.sampled_from(["$question", "${mark}", "$$", "$", "%s", "{0}"]))
def test_what_is_put_in_is_never_searched_for_placeholders(name: str, value: str) -> None:
    text = template(name).template
    wanted = Template(text).get_identifiers()
    assert own(name, text).render(name, **dict.fromkeys(wanted, value)) == re.sub(
        rf"\$(?:{'|'.join(wanted)})\b" if wanted else r"\$never", lambda _: value, text
    )


def test_a_strategy_is_known_by_its_default() -> None:
    prompts = Prompts(strategy_analogy="Suche ein ähnliches Problem.")
    assert prompts.instead_of(strategies.analogy) == "Suche ein ähnliches Problem."
    assert prompts.instead_of(strategies.step_by_step) == strategies.step_by_step
    assert prompts.instead_of("Draw a table.") == "Draw a table."


@pytest.mark.anyio
async def test_another_run_asks_in_its_own_words() -> None:
    """A contemplator as an agent has its own prompts, whatever those around it are; samples have the run's."""
    told: list[str] = []

    def reply(request: ModelRequest) -> str:
        told.extend(message.text for message in request.messages)
        return "x"

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="p", samples=2)

    prompts = Prompts(task="Aufgabe: $prompt", thinking="Denke nach.", inner_question="Tue: $prompt\nFür: $question")
    inner = Contemplator(ScriptedModel(reply), mode="thinking")
    await Contemplator(ScriptedModel(reply), planner=plan, agent=inner, prompts=prompts).run("q")
    assert "Tue: p" in "\n".join(told)
    assert render("thinking") in "\n".join(told)
    assert "Denke nach." not in "\n".join(told)
    told.clear()
    await Contemplator(ScriptedModel(reply), planner=plan, prompts=prompts).run("q")
    assert sum(each.startswith("Aufgabe: p") for each in told) == 2


@pytest.mark.anyio
async def test_a_run_with_other_prompts_is_another_configuration() -> None:
    journal = Journal()

    def mind(prompts: Prompts) -> Contemplator[str]:
        return Contemplator(ScriptedModel("x"), mode="thinking", journal=journal, prompts=prompts)

    german = Prompts(thinking="Denke nach.")
    await mind(german).run("q", run_id="one")
    assert (await mind(german).run("q", run_id="one")).output == "x"
    assert (await mind(german).replay("one")).output == "x"
    for other in (DEFAULTS, Prompts(thinking="Überlege.")):
        with pytest.raises(ConfigurationError, match=r"prompts was thinking \([0-9a-f]{8}\)"):
            await mind(other).run("q", run_id="one")
    assert "prompts=thinking (" in repr(mind(german))
    assert "prompts=" not in repr(mind(DEFAULTS))


ROLES = {"planner": "PLAN WELL", "subagent": "WORK WELL", "aggregator": "MERGE WELL"}


def system_texts(model: ScriptedModel) -> dict[str, list[str]]:
    """What each role's calls were told first."""
    heard: dict[str, list[str]] = {"planner": [], "subagent": [], "aggregator": []}
    marks = {"plans how": "planner", "You plan": "planner", "lead a team": "planner", "write the final": "aggregator"}
    for request in model.requests:
        text = request.messages[0].text
        heard[next((role for words, role in marks.items() if words in text), "subagent")].append(text)
    return heard


@pytest.mark.anyio
@pytest.mark.parametrize("roles", [{role} for role in ROLES] + [set(ROLES), set()])
async def test_instructions_reach_their_role_and_no_other(roles: set[str]) -> None:
    model = ScriptedModel([PLAN, "a", "b", "merged"])
    given: Any = {role: ROLES[role] for role in roles}
    await Contemplator(model, instructions=given).run("q")
    heard = system_texts(model)
    assert {role: len(texts) for role, texts in heard.items()} == {"planner": 1, "subagent": 2, "aggregator": 1}
    for role, texts in heard.items():
        for other, words in ROLES.items():
            assert all((words in text) == (role == other and role in roles) for text in texts)


@pytest.mark.anyio
async def test_a_text_alone_is_for_subagents() -> None:
    one, other = ScriptedModel([PLAN, "a", "b", "merged"]), ScriptedModel([PLAN, "a", "b", "merged"])
    await Contemplator(one, instructions="WORK WELL").run("q")
    await Contemplator(other, instructions={"subagent": "WORK WELL"}).run("q")
    assert one.requests == other.requests
    assert "WORK WELL" in one.requests[1].messages[0].text


@pytest.mark.anyio
async def test_instructions_reach_calls_without_a_system_message_and_repairs() -> None:
    model = ScriptedModel(["Answer: a", "Answer: b", "Answer: c", "no", *['{"same": false}'] * 3])
    await Contemplator(
        model,
        planner=planners.sample(3),
        aggregator=aggregators.vote(by_meaning=True),
        instructions={"aggregator": "MERGE WELL"},
    ).run("q")
    said = [[message.text for message in request.messages] for request in model.requests]
    samples = [texts for texts in said if texts == said[0]]
    judged = [texts for texts in said if texts != said[0]]
    assert len(samples) == 3
    assert "MERGE WELL" not in "".join(said[0])
    assert judged
    assert all(texts[0] == "MERGE WELL" and "".join(texts).count("MERGE WELL") == 1 for texts in judged)


@pytest.mark.parametrize(
    ("instructions", "problem"),
    [
        ({"boss": "x"}, "'boss', which is no role .*planner, subagent, aggregator"),
        ({"planner": 5}, "'planner' are a int"),
        (5, "instructions=5"),
    ],
)
def test_instructions_for_nobody_are_refused(instructions: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Contemplator(ScriptedModel("x"), instructions=instructions)


def test_an_agent_has_its_own_instructions() -> None:
    mind = Contemplator(ScriptedModel("x"), agent=Agent(), instructions={"planner": "PLAN WELL"})
    assert "instructions={planner: 'PLAN WELL'}" in repr(mind)
    with pytest.raises(ConfigurationError, match="belong to the default agent"):
        Contemplator(ScriptedModel("x"), agent=Agent(), instructions={"subagent": "x"})


def test_a_preset_is_told_in_its_prompts() -> None:
    assert "Denke nach." in repr(
        Contemplator(ScriptedModel("x"), mode="thinking", prompts=Prompts(thinking="Denke nach."))
    )


@pytest.mark.anyio
async def test_instructions_count_in_the_size_of_a_prompt() -> None:
    """With `context=`, no prompt of the aggregator is longer, whatever is added to it."""

    def reply(request: ModelRequest) -> str:
        return "word " * 900 if render("solver") in request.messages[0].text else "short"

    model = ScriptedModel(reply)
    aggregator = aggregators.synthesize(context=3000)
    instructions: Any = {"aggregator": "Write well. " * 300}
    mind = Contemplator(model, planner=planners.sample(4), aggregator=aggregator, instructions=instructions)
    await mind.run("q")
    merging = [each for each in model.requests if "Write well." in each.messages[0].text]
    assert len(merging) > 1
    assert all(request_tokens(each) <= 3000 for each in merging)
