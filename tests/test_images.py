"""Images: who is shown the user's, and what becomes of those that models and tools make."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import contemplate
from contemplate import (
    Answer,
    Contemplator,
    ImagePart,
    RunContext,
    Task,
    TaskContext,
    aggregators,
    planners,
    tool,
)
from contemplate.errors import ConfigurationError, ContemplateError, QuorumNotReached
from contemplate.events import Event, OutputDelta, Speaker, TaskDelta
from contemplate.images import MAX_IMAGE_BYTES, load_image
from contemplate.journal import Journal
from contemplate.messages import Message, images_made
from contemplate.models import ModelRequest, OpenAIModel
from contemplate.models.openai.response_images import ResponseImages
from contemplate.testing import FaultyServer, ScriptedModel
from contemplate.testing.faulty import ChatAnswer, Exchange, HttpError, Reply

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
JPEG = b"\xff\xd8\xff" + bytes(500)
URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
MADE = ImagePart(data=PNG, media_type="image/png")
OTHER = ImagePart(data=JPEG, media_type="image/jpeg")


def as_field(*urls: str) -> list[dict[str, Any]]:
    return [{"type": "image_url", "image_url": {"url": url}, "index": place} for place, url in enumerate(urls)]


def instant(server: FaultyServer, **more: Any) -> Contemplator[str]:
    model = OpenAIModel("model", base_url=server.url, api_key="key")
    return Contemplator(model, planner=planners.direct(), aggregator=aggregators.first(), **more)


async def two_candidates(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    for name in ("one", "two"):
        yield Task(id=name, prompt=name, kind="candidate")


async def two_parts(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    for name in ("one", "two"):
        yield Task(id=name, prompt=name)


# Images in


@pytest.mark.anyio
@pytest.mark.parametrize(
    "images_to", [("planner",), ("subagent",), ("aggregator",), ("planner", "aggregator"), (), None], ids=str
)
async def test_images_reach_whom_the_user_chooses(images_to: tuple[Speaker, ...] | None) -> None:
    shown: dict[str, int] = {}

    def script(request: ModelRequest) -> str:
        planning = request.output_schema is not None
        merging = "Now answer the whole question" in request.messages[-1].text
        role = "planner" if planning else "aggregator" if merging else "subagent"
        shown[role] = max(shown.get(role, 0), len(request.messages[-1].images))
        return '{"tasks": [{"title": "A", "prompt": "a"}, {"title": "B", "prompt": "b"}]}' if planning else "Done."

    given = {} if images_to is None else {"images_to": images_to}
    mind = Contemplator(ScriptedModel(script), **given)  # type: ignore[call-overload]
    await mind.run("What is it?", images=[PNG])
    everyone = ("planner", "subagent", "aggregator")
    assert shown == {role: int(role in (everyone if images_to is None else images_to)) for role in everyone}


@pytest.mark.anyio
async def test_paths_urls_and_bytes_reach_the_server(tmp_path: Path) -> None:
    path = tmp_path / "dot.png"
    path.write_bytes(PNG)
    given: list[str | Path | bytes | ImagePart] = [path, str(path), PNG, MADE, URL, "https://example.org/cat.png"]
    with FaultyServer("A cat.") as server:
        await instant(server).run("What is it?", images=given)
        (exchange,) = server.exchanges
    sent = exchange.body["messages"][-1]["content"][:-1]
    assert [part["image_url"]["url"] for part in sent] == [URL] * 5 + ["https://example.org/cat.png"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("no.png", None, "no such file"),
        ("notes.txt", b"words", "not an image"),
        ("words.png", b"words", "not an image"),
        ("page.png", b"<!doctype html><html></html>", "not an image"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        ("empty.png", b"", "empty"),
        ("big.png", PNG, "MiB"),
        ("nul\0.png", None, "it cannot be read|no such file|null"),
        ("n" * 300, None, "cannot be read: "),
    ],
)
async def test_what_is_no_image_is_refused_by_name(
    name: str, content: bytes | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr("contemplate.images.MAX_IMAGE_BYTES", len(PNG) - 1)
    name = name.replace("\0", "")[:3]
    model = ScriptedModel("never asked")
    with pytest.raises(ConfigurationError, match=f"{name}.*{problem}"):
        await Contemplator(model, mode="instant").run("What is it?", images=[path])
    assert not model.requests


@pytest.mark.anyio
@pytest.mark.parametrize("images_to", ["planner", ["judge"]])
async def test_roles_that_there_are_not_are_refused(images_to: Any) -> None:
    with pytest.raises(ConfigurationError, match="images_to"):
        Contemplator(ScriptedModel("Yes."), images_to=images_to)


def no_images(tmp_path: Path) -> dict[str, Any]:
    """What is no image, in each way in which an image can be given."""
    (tmp_path / "link.png").symlink_to("/etc/passwd")
    ways: dict[str, Any] = {"link": tmp_path / "link.png", "folder": tmp_path, "text": str(tmp_path / "link.png")}
    for kind, raw in {"words": b"words", "page": b"<html>", "none": b"", "large": PNG + b"x"}.items():
        url = f"data:image/png;base64,{base64.b64encode(raw).decode()}"
        ways |= {f"{kind} as bytes": raw, f"{kind} as URL": url}
        ways |= {f"{kind} as part": ImagePart(data=raw), f"{kind} as part with URL": ImagePart(url=url)}
    ways |= {"nothing": ImagePart(), "file": ImagePart(url="file:///etc/passwd"), "number": 5}
    return ways | {
        "not base64": "data:image/png;base64,%%%",
        "plain data": "data:image/png,x",
        "type": "data:;base64,aGk=",
    }


def test_every_way_in_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contemplate.images.MAX_IMAGE_BYTES", len(PNG))
    for way, source in no_images(tmp_path).items():
        with pytest.raises(ConfigurationError, match="^image ") as caught:
            load_image(source)
        assert len(str(caught.value)) < 500, way
    assert load_image(PNG) == load_image(URL) == load_image(MADE) == load_image(ImagePart(url=URL)) == MADE


@pytest.mark.anyio
@pytest.mark.parametrize("data", [b"", b"words", b"<html>"])
async def test_what_a_tool_draws_is_checked(data: bytes) -> None:
    @tool
    def draw(what: str) -> ImagePart:
        """Draw it."""
        return ImagePart(data=data)

    with FaultyServer(calling("draw")) as server:
        result = await instant(server, tools=[draw]).run("Draw.")
        told = server.exchanges[-1].messages[-1]["content"]
    assert not result.images
    assert "ToolError: an image that the tool made cannot be shown" in told


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"GIF89a", "gif"),
        (b"RIFF\n\n\n\nWEBPVP8 ", "webp"),
        (b"BM\x0a\n\n\n\x00\x00\x00\x00", "bmp"),
        (b"II*\x00", "tiff"),
        (b"\x00\x00\x00\nftypavif", "avif"),
        (b"\x00\x00\x00\nftypheic", "heic"),
    ],
)
def test_an_image_is_known_by_its_content(head: bytes, media_type: str) -> None:
    for declared in ("image/png", "text/plain"):
        found = load_image(ImagePart(data=head, media_type=declared))
        assert found == ImagePart(data=head, media_type=f"image/{media_type}")


# Images out, over HTTP


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_images_beside_the_text(stream: bool) -> None:
    with FaultyServer(
        ChatAnswer("Here.", extra={"images": as_field(URL, "https://example.org/cat.png", URL)})
    ) as server:
        result = await instant(server, stream=stream).run("Draw.")
    assert result.text == "Here."
    assert result.images == (MADE, ImagePart(url="https://example.org/cat.png"))
    assert result.tasks[0].images == result.images


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_an_image_without_a_word_is_an_answer(stream: bool) -> None:
    with FaultyServer(ChatAnswer("", extra={"images": as_field(URL)})) as server:
        result = await instant(server, stream=stream).run("Draw.")
    assert (result.text, result.images, result.complete) == ("", (MADE,), True)


@pytest.mark.anyio
@pytest.mark.parametrize("chunk", [1, 7, 100, 100_000])
async def test_an_image_within_the_text_is_no_text(chunk: int) -> None:
    said: list[Event] = []
    with FaultyServer(ChatAnswer(f"Look! ![a [cat] ![a cat]({URL}) Nice![", chunk=chunk)) as server:
        result = await instant(server, stream=True, on_event=said.append).run("Draw.")
        whole = await instant(server, stream=False).run("Draw.")
    assert result.text == whole.text == "Look! ![a [cat]  Nice!["
    assert result.images == whole.images == (MADE,)
    assert "".join(each.text for each in said if isinstance(each, OutputDelta)) == result.text
    assert "".join(each.text for each in said if isinstance(each, TaskDelta)) == result.text
    assert URL[-40:] not in repr(said)


@pytest.mark.anyio
async def test_content_in_parts() -> None:
    parts = [
        {"type": "text", "text": "Here "},
        *as_field(URL),
        {"type": "thinking"},
        {"type": "text", "text": "it is."},
    ]
    with FaultyServer(ChatAnswer(extra={"content": parts})) as server:
        result = await instant(server, stream=False).run("Draw.")
    assert (result.text, result.images) == ("Here it is.", (MADE,))


BAD = {
    "its data is not an image": "data:application/pdf;base64,JVBERi0xLjQ=",
    "it is not valid base64": "data:image/png;base64,AAAAA",
    "neither http": "file:///etc/passwd",
    "larger than 20 MiB": "data:image/png;base64," + "A" * (MAX_IMAGE_BYTES * 4 // 3 + 8),
}


@pytest.mark.anyio
async def test_an_image_outlives_the_failure_of_its_task() -> None:
    async def agent(task: Task, ctx: TaskContext) -> Answer:
        if task.id == "one":
            ctx.keep([Message.assistant("So far.", images=(MADE, OTHER))])
            raise RuntimeError("down")
        return Answer("Fine.")

    mind = Contemplator(ScriptedModel(""), planner=two_candidates, agent=agent, aggregator=aggregators.vote(stop=None))
    failed = next(each for each in (await mind.run("Draw.")).tasks if each.id == "one")
    assert (failed.outcome, failed.images) == ("failed", (MADE, OTHER))


@pytest.mark.anyio
@pytest.mark.parametrize("why", BAD)
async def test_a_malformed_image_does_not_cost_the_text(why: str) -> None:
    with FaultyServer(ChatAnswer("The answer.", extra={"images": as_field(BAD[why], URL)})) as server:
        result = await instant(server, stream=False).run("Draw.")
    assert (result.text, result.images, result.complete) == ("The answer.", (MADE,), True)
    [note] = result.notes
    assert why in note
    assert len(note) < 200


@pytest.mark.anyio
@pytest.mark.parametrize("images", ["cat", {"url": URL}, [None, 5, {"b64": "AAAA"}, {"image_url": {}}]])
@pytest.mark.parametrize("stream", [False, True])
async def test_images_in_an_unknown_form_do_not_cost_the_text(images: Any, stream: bool) -> None:
    with FaultyServer(ChatAnswer("The answer.", extra={"images": images})) as server:
        result = await instant(server, stream=stream).run("Draw.")
    assert (result.text, result.images) == ("The answer.", ())
    assert bool(result.notes) == isinstance(images, list)


@pytest.mark.anyio
async def test_an_image_that_is_cut_off_is_dropped() -> None:
    with FaultyServer(ChatAnswer(f"Look: ![cat]({URL[:-300]}", finish="length")) as server:
        result = await instant(server, stream=True).run("Draw.")
    assert (result.text, result.images) == ("Look: ", ())
    assert "cut off" in result.notes[0]


@pytest.mark.anyio
async def test_an_example_in_an_explanation_stays_text() -> None:
    text = "So: ![alt](data:image/png;base64,iVBORw0KGgo...) or ![alt](https://example.org/a.png)!"
    with FaultyServer(ChatAnswer(text, chunk=5)) as server:
        result = await instant(server, stream=True).run("How are images embedded?")
    assert (result.text, result.images, result.notes) == (text, (), ())


PIECES = [
    "Look ",
    "!",
    "[",
    "]",
    "(",
    ")",
    "![cat]",
    "![cat](",
    f"![cat]({URL})",
    f"![cat]({URL[:80]}",
    "\n",
    "data:image/png;base64,",
]


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), st.integers(1, 90))
def test_pieces_bring_what_the_whole_brings(text: str, size: int) -> None:
    whole, growing = ResponseImages(), ResponseImages()
    at_once = whole.without_images(text) + whole.rest()
    pieces = [growing.without_images(text[start : start + size]) for start in range(0, len(text), size)]
    assert "".join(pieces) + growing.rest() == at_once
    assert (growing.found, growing.notes) == (whole.found, whole.notes)
    if URL not in text and URL[:80] not in text:
        assert at_once == text


# Whose images they are


def drawing(request: ModelRequest) -> Message:
    asked = request.messages[-1].text
    return Message.assistant("cat", images=(OTHER if asked.startswith("two") else MADE,))


@pytest.mark.anyio
async def test_first_and_vote_keep_the_images_of_the_answer_that_they_take() -> None:
    model = ScriptedModel(drawing)
    for aggregator in (aggregators.first(), aggregators.vote()):
        result = await Contemplator(model, planner=two_candidates, aggregator=aggregator).run("Draw.")
        assert result.images == next(each.images for each in result.tasks if each.id == result.support[0])
        assert len(result.images) == 1


@pytest.mark.anyio
async def test_images_without_words_abstain_and_are_not_lost() -> None:
    model = ScriptedModel(lambda request: Message.assistant("", images=drawing(request).images))
    with pytest.raises(QuorumNotReached) as failed:
        await Contemplator(model, planner=two_candidates, aggregator=aggregators.vote()).run("Draw.")
    assert failed.value.partial is not None
    assert [each.images for each in failed.value.partial.tasks] == [(MADE,), (OTHER,)]


@pytest.mark.anyio
async def test_what_a_tool_drew_outlives_its_task() -> None:
    def script(exchange: Exchange) -> Reply | str:
        return HttpError(400) if exchange.messages[-1]["role"] == "tool" else calling("draw")(exchange)

    with FaultyServer(script) as server, pytest.raises(ContemplateError) as failed:
        await instant(server, tools=[draw]).run("Draw.")
    assert failed.value.partial is not None
    assert failed.value.partial.tasks[0].images == (MADE,)


@pytest.mark.anyio
@pytest.mark.parametrize("own", [(), (OTHER,)])
async def test_synthesize_takes_its_own_images_or_those_that_it_rests_on(own: tuple[ImagePart, ...]) -> None:
    async def agent(task: Task, ctx: Any) -> Any:
        return contemplate.Answer("", images=(MADE,) if task.id == "one" else (MADE, OTHER))

    model = ScriptedModel(lambda request: Message.assistant("Merged.", images=own))
    result = await Contemplator(model, planner=two_parts, agent=agent, aggregator=aggregators.synthesize()).run("Draw.")
    assert result.text == "Merged."
    assert result.images == (own or (MADE, OTHER))
    assert "no words, but an image" in model.requests[0].messages[-1].text
    assert model.requests[0].messages[-1].images == ()


# Tools


@tool
def draw(what: str) -> ImagePart:
    """Draw it."""
    return load_image(PNG)


@tool
def two(what: str) -> list[Any]:
    """Draw it twice."""
    return ["As you wish.", load_image(PNG), load_image(JPEG)]


def calling(name: str) -> Any:
    def script(exchange: Exchange) -> Reply | str:
        if exchange.messages[-1]["role"] == "tool":
            return ChatAnswer("Drawn.")
        return ChatAnswer("", tool_calls=((name, '{"what": "a cat"}'),))

    return script


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "images"), [("draw", (MADE,)), ("two", (MADE, OTHER))])
async def test_what_a_tool_draws_comes_with_the_answer(name: str, images: tuple[ImagePart, ...]) -> None:
    with FaultyServer(calling(name)) as server:
        result = await instant(server, tools=[draw, two]).run("Draw.")
        told = server.exchanges[-1].messages[-1]["content"]
    assert (result.text, result.images) == ("Drawn.", images)
    assert f"images made: {len(images)}" in told
    assert told.startswith("As you wish.") == (name == "two")


@pytest.mark.anyio
async def test_two_images_in_one_message() -> None:
    """All images of a message are kept, in order, and one that comes again is one."""
    both = Message.user("See.", (MADE, OTHER))
    assert both.images == (MADE, OTHER)
    assert [part.kind for part in both.parts] == ["image", "image", "text"]
    assert images_made((both, Message.assistant("", images=(MADE, OTHER)))) == (MADE, OTHER)
    assert images_made((Message.assistant("", images=(OTHER, MADE)), Message.tool("1", "", (MADE,)))) == (OTHER, MADE)
    model = ScriptedModel([Message.assistant("Two.", images=(OTHER, MADE))])
    result = await Contemplator(model, mode="instant").run("Draw.", images=[MADE, OTHER])
    assert result.images == (OTHER, MADE)
    assert model.requests[0].messages[-1].images == (MADE, OTHER)


# Journal


@pytest.mark.anyio
async def test_images_survive_a_crash_and_a_replay() -> None:
    journal = Journal()
    with FaultyServer(calling("draw")) as server:
        mind = instant(server, tools=[draw], journal=journal)
        result = await mind.run("Draw.", run_id="r")
        made = len(server.exchanges)
        record = journal.load("r")
        assert record is not None
        # As if the process had died after its last call.
        journal.save(record.model_copy(update={"status": "running", "result": None}))
        resumed = await mind.run("Draw.", run_id="r")
        replayed = await mind.replay("r")
        assert len(server.exchanges) == made
    assert result.images == resumed.images == replayed.images == (MADE,)
    again = await Contemplator(ScriptedModel("no"), aggregator=aggregators.first(), journal=journal).reaggregate("r")
    assert again.images == (MADE,)
