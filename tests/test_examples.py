"""Every example, and every Python block in README and docs, runs as it stands, on a real local model."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

from contemplate import ModelSettings

from . import local_model

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BLOCKS = [block for block in find_examples(ROOT / "README.md", ROOT / "docs") if block.prefix == "python"]

LONGEST_ANSWER = 256

pytestmark = local_model.alone


@pytest.fixture(autouse=True)
def _small_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONTEMPLATE_MODEL", local_model.name())
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    # So small a model often repeats itself to the end of what it may write.
    monkeypatch.setattr("contemplate.models.local.model.DEFAULT_SETTINGS", ModelSettings(max_tokens=LONGEST_ANSWER))
    yield


def test_something_is_found() -> None:
    assert len(EXAMPLES) >= 6
    assert len(BLOCKS) >= 10


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_block(block: CodeExample, eval_example: EvalExample) -> None:
    eval_example.run(block)
