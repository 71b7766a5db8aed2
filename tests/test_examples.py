"""Every example, and every Python block in README and docs, runs as it stands, and shows what it is there to show.

They run on what a small local model once answered, and on the model itself if that was not recorded: see recorded.py.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_examples import CodeExample, find_examples
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from contemplate import ModelSettings
from contemplate.errors import AggregationError, OutputError, PlanError, ProgramError

from . import local_model, recorded

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# Recipes have tests of their own, in tests/recipes.
PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.stem != "recipes")]
BLOCKS = [block for block in find_examples(*PAGES) if block.prefix == "python"]
RECORDING = Path(__file__).parent / "recordings" / "examples.jsonl"

# What each example is there to show.
SHOWN = {
    "custom_aggregator": [r"^sample-1: \w+, sample-2: \w+, sample-3: \w+, sample-4: \w+$"],
    "custom_planner": [r"^pro: \w+ after ", r"^con: \w+ after "],
    "hello": [r"^[1-9]\d* subagents, [1-9]\d* tokens, "],
    "journal": [r"^vote: .* - 3 calls$", r"^once more: True$", r"^replayed: True$", r"^merged: "],
    "mcp_tools": [r"^called \w*depth\(.*[Bb]ergen", r"\b11\b"],
    "streaming": [r"^planned: ", r"^(answered|capped): ", r"^[1-9]\d* calls, complete: "],
    "tools": [r"^called population\(.*Norway", r"5[,. ]?550[,. ]?000"],
    "typed_output": [r"^(True|False) - ", r"^for it: \('sample-"],
}

# So small a model often repeats itself to the end of what it may write: its end of turn is made likelier.
END_OF_TURN = 151645  # <|im_end|> of Qwen2.5
SHORT = ModelSettings(max_tokens=256, extra={"logit_bias": [[END_OF_TURN, 5]]})

# Samples that are all cut off, or no plan at all: the small model's fault now and then, the example's every time.
OF_NO_USE = (AggregationError, OutputError, PlanError, ProgramError)

Run = Callable[[], object]


@pytest.fixture(scope="module")
def recording(request: pytest.FixtureRequest) -> Iterator[recorded.Recording]:
    """The recorded answers; written anew if that was asked for."""
    kept = recorded.Recording(RECORDING)
    yield kept
    all_of_them = request.session.testscollected >= len(EXAMPLES) + len(BLOCKS)
    if request.config.getoption("--record") and all_of_them and not request.session.testsfailed:
        kept.write(of_all=True)


@pytest.fixture
def output_of(
    request: pytest.FixtureRequest,
    recording: recorded.Recording,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> Callable[[Run], str]:
    """A function that runs something in a directory of its own, and returns what it printed."""
    monkeypatch.setenv("CONTEMPLATE_MODEL", f"local:{local_model.NAME}")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr("contemplate.models.local.model.DEFAULT_SETTINGS", SHORT)

    def once(run: Run) -> str:
        capsys.readouterr()
        monkeypatch.chdir(tmp_path_factory.mktemp("here"))
        with monkeypatch.context() as patch:
            recorded.number_runs(patch)
            run()
        return capsys.readouterr().out

    def from_recording(run: Run) -> str | None:
        replay = recorded.Replay(recording)
        with monkeypatch.context() as patch:
            replay.answer_for_local_models(patch)
            try:
                printed = once(run)
            except Exception:
                if not replay.missed:
                    raise
        return None if replay.missed else printed

    @retry(retry=retry_if_exception_type(OF_NO_USE), stop=stop_after_attempt(3), reraise=True)
    def from_the_model(run: Run) -> str:
        take = recorded.Take(recording)
        with local_model.turn(), monkeypatch.context() as patch:
            take.record_local_models(patch)
            printed = once(run)
        take.keep()
        if request.config.getoption("--record"):
            # At once: the model takes long, and who interrupts it keeps what it has said.
            recording.write(of_all=False)
        return printed

    def output(run: Run) -> str:
        why = "--real"
        if not request.config.getoption("--real"):
            if (printed := from_recording(run)) is not None:
                return printed
            why = "not recorded, or changed since; add --record to record it"
        request.node.user_properties.append(("real", why))
        local_model.name()
        return from_the_model(run)

    return output


def test_something_is_found() -> None:
    assert {path.stem for path in EXAMPLES} == SHOWN.keys()
    assert len(BLOCKS) >= 10


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example(example: Path, output_of: Callable[[Run], str]) -> None:
    printed = output_of(lambda: runpy.run_path(str(example), run_name="__main__"))
    for shown in SHOWN[example.stem]:
        assert re.search(shown, printed, re.MULTILINE), printed


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_block(block: CodeExample, output_of: Callable[[Run], str]) -> None:
    # Not by pytest-examples: where a block fails, its altered traceback ends pytest itself, and all is lost.
    lines_above = "\n" * block.start_line
    code = compile(lines_above + block.source, block.path, "exec", dont_inherit=True)
    printed = output_of(lambda: exec(code, {"__name__": "__main__"}))
    assert bool(printed.strip()) == ("print(" in block.source)
