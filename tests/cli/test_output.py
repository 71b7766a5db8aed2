"""What comes out of `contemplate ask`, and where."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from contemplate import Contemplator, Limits, RunResult
from contemplate.cli import main
from contemplate.cli.plain_view import PlainView
from contemplate.cli.print_estimate import expectation
from contemplate.cli.watch import watch
from contemplate.estimate import Range
from contemplate.events import Event
from contemplate.run.listeners import Listener
from contemplate.testing import FaultyServer, ScriptedModel
from contemplate.testing.faulty import ChatAnswer, Exchange, Reply

from .. import processes
from ..patience import PATIENCE
from .asking import MERGED, command, contemplating, here, model, process, run

INSTANT = ["--mode", "instant"]


def test_the_answer_alone_is_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(contemplating) as server:
        assert main(["ask", "Why?", *model(server)]) == 0
    out, err = capsys.readouterr()
    assert out == MERGED + "\n"
    for said in ("Planning", "1 (One): planned", "2 (Two): started", "1 (One): answered after", "4 calls · "):
        assert said in err


@pytest.mark.parametrize("words", [["what", "is", "love"], ["what is love"], ["what", "is love"]])
def test_a_question_needs_no_quotes(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(lambda exchange: exchange.prompt) as server:
        assert main(["ask", *words, "--mode", "instant", "--no-journal", *model(server)]) == 0
        assert server.exchanges[0].prompt.endswith("what is love")


def test_quiet_says_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(contemplating) as server:
        assert main(["ask", "Why?", "--quiet", *model(server)]) == 0
    assert capsys.readouterr() == (MERGED + "\n", "")


@pytest.mark.parametrize("form", [[], ["--json"], ["--quiet"], ["--events"]])
def test_what_a_run_may_take_is_told_before_it_starts(
    form: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told_by_then = []

    def script(exchange: Exchange) -> Reply | str:
        told_by_then.append(capsys.readouterr().err)
        return contemplating(exchange)

    ask = ["ask", "Why?", *form, "--journal", str(tmp_path / "runs.db"), "--run-id", "r"]
    with FaultyServer(script) as server:
        assert main([*ask, *model(server)]) == 0
        expected = "Expected: 4 to 8 calls, up to about 13,500 tokens written\n"
        assert told_by_then[0].startswith("" if form in (["--quiet"], ["--events"]) else expected)
        assert ("Expected" in told_by_then[0]) == (form not in (["--quiet"], ["--events"]))
        capsys.readouterr()
        assert main([*ask, *model(server)]) == 0, "which is answered already"
    assert "Expected" not in capsys.readouterr().err


def test_what_is_expected_is_one_line_that_promises_no_time() -> None:
    estimate = Contemplator(ScriptedModel("a"), mode="instant", limits=Limits(calls=1)).estimate("Why?")
    assert expectation(estimate, local=False) == "Expected: 1 call, up to about 1,500 tokens written"
    assert expectation(estimate, local=True).endswith(
        "; the time is told when the first call has shown how fast the model writes"
    )
    paid = estimate.model_copy(update={"cost_usd": Range(low=0.001, high=0.05)})
    assert expectation(paid, local=False).endswith("written, up to about $0.0500")


def test_what_was_cached_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(ChatAnswer("Because.", usage=True, cached_tokens=7)) as server:
        assert main(["ask", "Why is it so, and why has it never been otherwise?", *INSTANT, *model(server)]) == 0
    assert "1 call · " in (err := capsys.readouterr().err)
    assert "(7 cached)" in err


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(contemplating) as server:
        assert main(["ask", "Why?", "--json", "--quiet", *model(server)]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["output"] == document["text"] == MERGED
    assert document["run_id"]
    assert document["question"] == "Why?"
    assert document["complete"] is True
    assert document["support"] == ["1", "2"]
    assert [task["outcome"] for task in document["tasks"]] == ["answered", "answered"]
    assert [task["title"] for task in document["plan"]["tasks"]] == ["One", "Two"]
    assert document["usage"]["calls"] == 4
    assert {"seconds", "missing", "stopped_by", "dissent", "notes"} <= document.keys()
    assert err == ""
    assert RunResult[str].model_validate_json(out).output == MERGED


def test_events(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(contemplating) as server:
        assert main(["ask", "Why?", "--events", *model(server)]) == 0
    out, err = capsys.readouterr()
    events = [json.loads(line) for line in out.splitlines()]
    assert events[0]["kind"] == "run_started"
    assert events[-1]["kind"] == "run_finished"
    assert {"plan_delta", "task_planned", "task_delta", "output_delta"} <= {event["kind"] for event in events}
    assert err == ""


def test_a_question_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("Why,\nreally?\n"))
    with FaultyServer("Because.") as server:
        assert main(["ask", "-", *INSTANT, *model(server)]) == 0
        assert server.exchanges[0].prompt == "Why,\nreally?"
    assert capsys.readouterr().out == "Because.\n"


def test_images(tmp_path: Path) -> None:
    image = tmp_path / "dot.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n....")
    with FaultyServer("A dot.") as server:
        assert main(["ask", "What is it?", *INSTANT, "--image", str(image), "--image", str(image), *model(server)]) == 0
        content = server.exchanges[0].messages[-1]["content"]
    assert [part["type"] for part in content] == ["image_url", "image_url", "text"]


@pytest.mark.parametrize(("mode", "calls"), [("thinking", 1), ("auto", 3)])
def test_the_other_modes(mode: str, calls: int) -> None:
    with FaultyServer("Because.") as server:
        assert main(["ask", "Why?", "--mode", mode, *model(server)]) == 0
        assert len(server.exchanges) == calls


def test_auto_says_why_in_every_view(tmp_path: Path) -> None:
    """The first answer is the plain call's, and says what the other two do."""
    journal = ["--journal", str(tmp_path / "runs.db")]
    told = "instant: the 3 probes agree, and nothing more is asked"
    with FaultyServer(lambda exchange: "Answer: Rome" if "Answer: ..." in exchange.prompt else "It is Rome.") as server:
        asked = here("ask", "Where is it?", "--mode", "auto", *journal, *model(server))
        assert sorted(each.prompt == "Where is it?" for each in server.exchanges) == [False, False, True]
    assert (asked.returncode, asked.stdout) == (0, "It is Rome.\n")
    assert told in asked.stderr
    assert f"note: {told}" in here("show", "last", *journal).stdout


def test_it_is_utf_8_whatever_the_locale_says() -> None:
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    with FaultyServer("日本 — ça va") as server:
        done = run(command("ask", "Ça?", *INSTANT, *model(server)), **locale)
        assert server.exchanges[0].prompt == "Ça?"
    assert done.returncode == 0
    assert done.stdout == "日本 — ça va\n"


def test_a_question_that_is_not_utf_8_is_read_as_well_as_it_can_be() -> None:
    with FaultyServer("Coffee.") as server:
        done = here("ask", "caf\udce9?", *INSTANT, *model(server))
        assert server.exchanges[0].prompt == "caf\N{REPLACEMENT CHARACTER}?"
    assert done.stdout == "Coffee.\n"


def test_a_file_gets_every_character_of_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer("a\x1b[31m\tb\x07") as server:
        assert main(["ask", "Why?", *INSTANT, *model(server)]) == 0
    assert capsys.readouterr().out == "a\x1b[31m\tb\x07\n"


@pytest.mark.parametrize("form", [[], ["--events"]])
def test_a_reader_that_goes_away_is_no_error(form: list[str]) -> None:
    with FaultyServer("x" * 200_000) as server:
        with process(command("ask", "x", *INSTANT, "--quiet", *form, *model(server))) as running:
            assert running.stdout is not None
            assert running.stderr is not None
            running.stdout.read(1)
            running.stdout.close()
            assert running.stderr.read() == ""
        assert server.wait_for(lambda: server.connections == 0)


@pytest.mark.parametrize("form", [[], ["--json"], ["--log-level", "info"]])
def test_a_reader_of_the_progress_that_goes_away_costs_no_answer(form: list[str]) -> None:
    with FaultyServer(contemplating) as server:
        with process(command("ask", "x", *form, *model(server))) as running:
            assert running.stderr is not None
            assert running.stdout is not None
            running.stderr.close()
            assert MERGED in running.stdout.read()
            running.wait(PATIENCE)
        assert server.wait_for(lambda: server.connections == 0)
    assert running.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_where_nothing_can_be_told_the_answer_is_printed() -> None:
    with FaultyServer(contemplating) as server, open("/dev/full", "w") as full:
        done = processes.run(command("ask", "x", *model(server)), PATIENCE, stderr=full)
    assert (done.returncode, done.stdout) == (0, f"{MERGED}\n")


def test_without_a_standard_error_the_answer_is_printed() -> None:
    with FaultyServer(contemplating) as server:
        quoted = " ".join(f"'{each}'" for each in command("ask", "x", *model(server)))
        done = run(["sh", "-c", f"{quoted} 2>&-"])
    assert (done.returncode, done.stdout) == (0, f"{MERGED}\n")


class Unwritable(PlainView):
    def __init__(self, error: Exception) -> None:
        super().__init__(quiet=False)
        self.events = 0
        self._error = error

    def show(self, event: Event) -> None:
        self.events += 1
        raise self._error


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("I/O operation on closed file")])
def test_a_view_that_cannot_write_costs_no_answer(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    view = Unwritable(error)

    async def start(listener: Listener) -> RunResult[str]:
        return await Contemplator(ScriptedModel("four"), mode="instant", on_event=listener).run("q")

    assert watch(start, view) == 0
    out, err = capsys.readouterr()
    assert (out, view.events) == ("four\n", 1)
    assert f"warning: the run goes on, and cannot be shown: {error}" in err


def test_logs_on_request() -> None:
    with FaultyServer("Because.") as server:
        done = run(command("ask", "Why?", *INSTANT, "--log-level", "info", *model(server)))
    assert done.returncode == 0
    assert "INFO model_called" in done.stderr
    assert "output_tokens=2" in done.stderr
    assert "Why?" not in done.stderr
    assert done.stdout == "Because.\n"


DRAWN = {"images": [{"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{'/9j/' * 999}"}}] * 2}


def test_images_are_saved_and_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "pictures"
    ask = ["ask", "Draw.", *INSTANT, "--run-id", "r", "--no-journal", "--save-images", str(folder)]
    with FaultyServer(ChatAnswer("A cat.", extra=DRAWN)) as server:
        assert main([*ask, *model(server)]) == 0
        out, err = capsys.readouterr()
        assert out == "A cat.\n"
        assert f"image: {folder / 'r-1.jpg'}" in err
        saved = (folder / "r-1.jpg").read_bytes()
        assert saved.startswith(b"\xff\xd8\xff")
        (folder / "r-1.jpg").write_bytes(b"mine")
        assert main([*ask, *model(server)]) == 0
    assert (folder / "r-1.jpg").read_bytes() == b"mine"
    assert (folder / "r-1-2.jpg").read_bytes() == saved
    assert len(list(folder.iterdir())) == 2


def test_images_of_a_run_that_is_over_are_saved_without_asking(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ["ask", "Draw.", *INSTANT, "--run-id", "drawn", "--journal", str(tmp_path / "runs.db")]
    with FaultyServer(ChatAnswer("A cat.", extra=DRAWN)) as server:
        assert main([*ask, "--events", *model(server)]) == 0
        out, err = capsys.readouterr()
        assert "/9j/" not in out
        assert "--run-id drawn --save-images DIR" in err
        assert main([*ask, "--save-images", str(tmp_path), *model(server)]) == 0
        assert len(server.exchanges) == 1
    assert (tmp_path / "drawn-1.jpg").exists()


def test_a_directory_that_cannot_be_written_to_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with FaultyServer("A cat.") as server:
        assert main(["ask", "Draw.", *INSTANT, "--save-images", str(tmp_path / "file"), *model(server)]) == 2
        assert server.exchanges == []
    assert "--save-images" in capsys.readouterr().err


def test_an_image_that_was_not_sent_along_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "https://example.org/cat.png"
    with FaultyServer(ChatAnswer("A cat.", extra={"images": [{"image_url": {"url": url}}]})) as server:
        assert main(["ask", "Draw.", *INSTANT, "--save-images", str(tmp_path), *model(server)]) == 0
    assert f"image: {url}" in capsys.readouterr().err
    assert list(tmp_path.glob("*.png")) == []
