"""Every example, and every Python block in README and docs, runs as it stands, on a real local model."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_examples import CodeExample, find_examples
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from contemplate import ModelSettings
from contemplate.errors import AggregationError, OutputError, PlanError, ProgramError

from . import local_model

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BLOCKS = [block for block in find_examples(ROOT / "README.md", ROOT / "docs") if block.prefix == "python"]

# So small a model often repeats itself to the end of what it may write: its end of turn is made likelier.
END_OF_TURN = 151645  # <|im_end|> of Qwen2.5
SHORT = ModelSettings(max_tokens=256, extra={"logit_bias": [[END_OF_TURN, 5]]})

# Samples that are all cut off, or no plan at all: the small model's fault now and then, the example's every time.
OF_NO_USE = (AggregationError, OutputError, PlanError, ProgramError)

pytestmark = local_model.alone


@pytest.fixture(autouse=True)
def _small_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONTEMPLATE_MODEL", local_model.name())
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr("contemplate.models.local.model.DEFAULT_SETTINGS", SHORT)
    yield


def test_something_is_found() -> None:
    assert len(EXAMPLES) >= 6
    assert len(BLOCKS) >= 10


@retry(retry=retry_if_exception_type(OF_NO_USE), stop=stop_after_attempt(3), reraise=True)
def patiently(run: Callable[[], object]) -> None:
    run()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patiently(lambda: runpy.run_path(str(example), run_name="__main__"))
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_block(block: CodeExample) -> None:
    # Not by pytest-examples: where a block fails, its altered traceback ends pytest itself, and all is lost.
    lines_above = "\n" * block.start_line
    code = compile(lines_above + block.source, block.path, "exec", dont_inherit=True)
    patiently(lambda: exec(code, {"__name__": "__main__"}))
