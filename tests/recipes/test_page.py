"""Docs show each recipe as it is."""

from __future__ import annotations

import re

from .pages import PAGE, RECIPES

BLOCK = re.compile(
    r"^\[`(.+)`\]\(\.\./examples/recipes/\1\)\n\n```(?:python|html)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


def test_the_page_shows_each_file_as_it_is() -> None:
    page = PAGE.read_text(encoding="utf-8")
    shown = dict(BLOCK.findall(page))
    assert shown == {file.name: file.read_text(encoding="utf-8") for file in RECIPES.iterdir() if file.is_file()}
    assert page.count("\n```") == 2 * len(shown)


def test_each_says_what_happens_when_things_go_wrong_and_what_differs_with_a_real_model() -> None:
    _, *recipes = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(recipes) == 9
    assert all("**When it goes wrong.** " in each and "**With a real model.** " in each for each in recipes)
