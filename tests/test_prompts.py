"""Prompts: each is a file, each file is used and can be rendered, and none hides in the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template

import pytest
from hypothesis import given
from hypothesis import strategies as st

import contemplate
from contemplate import prompts
from contemplate.prompts import fence_mark, render

SOURCE = Path(contemplate.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
FILES = {
    f"{folder}{Path(each.name).stem}": each.read_text("utf-8")
    for folder in ("", "probes/")
    for each in files(prompts).joinpath(folder).iterdir()
    if each.name.endswith(".md")
}
LONGEST_STRING = 200


def placeholders(text: str) -> set[str]:
    return set(Template(text).get_identifiers())


def results_of(expression: ast.expr) -> Iterator[ast.expr]:
    """The expressions that may be the value of `expression`; a condition is none."""
    if isinstance(expression, ast.IfExp):
        yield from results_of(expression.body)
        yield from results_of(expression.orelse)
    else:
        yield expression


def is_render(function: ast.expr) -> bool:
    """Whether it is `render` or `....prompts.render`."""
    match function:
        case ast.Name("render"):
            return True
        case ast.Attribute(ast.Name("prompts" | "_prompts") | ast.Attribute(attr="prompts" | "_prompts"), "render"):
            return True
        case ast.Attribute(ast.Call(ast.Name("prompts_here")), "render"):
            return True
    return False


@cache
def tree_of(module: Path) -> ast.Module:
    return ast.parse(module.read_text("utf-8"))


@cache
def calls() -> list[tuple[set[str], set[str]]]:
    """Each call of `render`: the prompts that it may mean, and the values that it gives."""
    return list(calls_of_render())


def calls_of_render() -> Iterator[tuple[set[str], set[str]]]:
    for module in MODULES:
        tree = tree_of(module)
        strings = {
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and is_render(node.func):
                given_names = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
                inside = {each.value for each in results_of(node.args[0]) if isinstance(each, ast.Constant)}
                # A name that is computed beforehand is one of the module's strings that fit.
                named = inside or {each for each in strings & set(FILES) if placeholders(FILES[each]) <= given_names}
                yield {str(each) for each in named}, given_names


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_used_and_given_all_that_it_wants(name: str) -> None:
    uses = [values for names, values in calls() if name in names]
    assert uses
    assert all(placeholders(FILES[name]) <= values for values in uses)
    assert Template(FILES[name]).is_valid()


@pytest.mark.parametrize("name", FILES)
def test_each_file_can_be_rendered(name: str) -> None:
    wanted = placeholders(FILES[name])
    text = render(name, **{value: f"<{value}>" for value in wanted})
    assert all(f"<{value}>" in text for value in wanted)
    assert text == text.strip()
    assert not re.search(r"\$\w", text)


def test_each_call_means_a_file() -> None:
    assert len(calls()) >= len(FILES) - 2
    assert all(names and names <= set(FILES) for names, _ in calls())


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError, match="question"):
        render("plan_question")


@given(st.text())
def test_a_value_is_not_looked_at_for_placeholders(question: str) -> None:
    assert render("plan_question", question=question).endswith(question)


def strings_of_code() -> Iterator[tuple[str, int, str]]:
    for module in MODULES:
        tree = tree_of(module)
        told = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(each.value) for each in node.values if isinstance(each, ast.Constant))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
                text = node.value
            else:
                continue
            yield str(module.relative_to(SOURCE)), node.lineno, text


def test_no_prompt_hides_in_the_code() -> None:
    strings = list(strings_of_code())
    long = {where for where, _, text in strings if len(text) > LONGEST_STRING}
    # What imitated servers say is no prompt, and neither is a regular expression, or the head of a page.
    ours = {where for where in long if not where.startswith("testing/providers/")}
    ours -= {"models/openai/calls_in_text/payloads.py", "models/openai/calls_in_text/forms.py", "server/viewer/page.py"}
    assert all(where.startswith("cli/arguments/") for where in ours), (
        "the help of the command line is the only long text in code"
    )
    assert max(len(text) for _, _, text in strings) > 50, "the code was not read"


@given(st.lists(st.tuples(st.text(max_size=9), st.text()), min_size=1))
def test_a_mark_is_the_same_for_the_same_texts_and_no_others(texts: list[tuple[str, str]]) -> None:
    mark = fence_mark(texts)
    assert re.fullmatch(r"[0-9a-f]{10}", mark)
    assert mark == fence_mark(list(texts))
    assert mark != fence_mark([*texts, ("more", "")])
