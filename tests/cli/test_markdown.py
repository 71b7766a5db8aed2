"""Answers as Markdown on a terminal: in whole blocks, and with nothing that was written left out."""

from __future__ import annotations

import io
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from contemplate.cli.markdown_answer import MarkdownAnswer
from contemplate.cli.markdown_blocks import MarkdownBlocks

from .screen import Screen

WHOLE = """\
# A *title*

Two lines
of text.
## Another

1. one

   more of it
3. three
   - within

   ```python
   x = [1]

   y = 2
   ```

| a | b |
|---|--:|
| 1 | 2 |
| 3 | 4 |
After the table.

> quoted

~~~
code

with a blank line
~~~
Heading
=======
***
<b>HTML</b>

[1]: https://example.org "a definition"
![an image](pic.png)
"""
PIECES = st.sampled_from(
    ["\n", "\n\n", " ", "word", "*", "**", "`", "```", "```py\n", "# ", "- ", "1. ", "7) ", "> ", "|", "|-|-|", "---",
     "===", "[a](b)", "![c](d)", "<http://e.f>", "[g]: h\n", "\\(", "\\", "~~", "<div>", "&amp;", "日本", "🙂", "    ",
     "\t", "é", "x*y*z", "_", "$a_b$", "\x1b[31m"]
)  # fmt: skip
MARKUP = re.compile(r"[^A-Za-z0-9日本é🙂]+")


def shown(text: str, columns: int = 80, *, pieces: int = 1, lines: int = 24) -> list[str]:
    """What stands on a terminal when a text was written there in so many pieces."""
    screen = Screen(columns, lines)
    file = io.StringIO()
    answer = MarkdownAnswer(live=False)
    answer._console = Console(file=file, width=columns, height=lines, force_terminal=True, highlight=False)
    size = max(1, len(text) // pieces)
    for start in range(0, len(text), size):
        answer.write(text[start : start + size])
    answer.end()
    screen.feed(file.getvalue().replace("\n", "\r\n"))
    return screen.rows[:-1]


def blocks(text: str, *sizes: int) -> list[tuple[str, bool]]:
    reader = MarkdownBlocks()
    found = []
    for size in sizes:
        piece, text = text[:size], text[size:]
        found += reader.add(piece)
    found += [*reader.add(text), *reader.end()]
    return [(block.text, block.apart) for block in found if block.text]


def test_what_there_is() -> None:
    text = "# Title\n\n**bold**, *slanted*, ~~struck~~ and `code`.\nA line more.\n\n- one\n- two\n\n> wise\n\n---\nend"
    assert shown(text) == [
        *("Title", "", "bold, slanted, struck and code.", "A line more.", ""),
        *(" • one", " • two", "", "▌ wise", "", "─" * 80, "end"),
    ]


def test_numbers_are_those_that_were_given() -> None:
    assert shown("3. three\n1. one\n10. ten\n") == ["  3 three", "  1 one", " 10 ten"]


def test_code_stays_as_it_is_so_that_it_can_be_copied() -> None:
    code = 'def f():\n    return "*a*"  # ' + "long " * 9
    assert "".join(shown(f"```python\n{code}\n```", 20)) == "python" + "".join(
        line[start : start + 20].rstrip() for line in code.split("\n") for start in range(0, len(line), 20)
    )
    assert shown("    indented\n") == ["indented"]
    assert shown("```\n```") == [""]


def test_a_table_fits_or_is_a_list() -> None:
    table = "| name | price |\n|---|--:|\n| 日本語 | 1 |\n| a very long name | 20 |\n"
    head, rule, *rows = shown(table, 40)
    assert (head, rule) == ("name              price", "─" * 23)
    assert rows == ["日本語                1", "a very long name     20"]
    wide = "| first | second |\n|---|---|\n| incomprehensible | unmistakable |\n| a | b |\n"
    assert shown(wide, 20) == [
        *("first:", "incomprehensible", "second: unmistakable"),
        *("", "first: a", "second: b"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "2*3*4 = 24, and 2**3**4 is more",
        "(a+b)*c*(d+e)",
        r"\(x_1 \cdot y_2\), \[ \{z\} \] and 5 \% \\",
        "<b>HTML</b> &amp; <script>alert(1)</script>",
        "[1]: https://example.org",
        "[bold]no markup of Rich[/bold] :smile:",
        "snake_case_name",
    ],
)
def test_what_was_not_meant_as_markdown_stays(text: str) -> None:
    assert shown(text) == [text]


def test_where_a_link_leads_is_seen_once() -> None:
    assert shown("[docs](https://a.b/c) <https://a.b> [https://a.b](https://a.b) ![dot](d.png)") == [
        "docs (https://a.b/c) https://a.b https://a.b !dot (d.png)"
    ]


def test_json_stays_json() -> None:
    text = '{\n    "a": "*b*",\n\n    "c": ["# d"]\n}'
    assert shown(text, pieces=7) == text.split("\n")
    assert shown('[{"a": "*b*"}]') == ['[{"a": "*b*"}]']


def test_nothing_steers_the_terminal() -> None:
    assert shown("a\x1b]0;owned\x07 \x9b31m\n\n```\n\x1b[2J\r\n```\n\n[x](\x1b]8;;evil\x1b\\)")[0] == "a]0;owned 31m"


def test_blocks_are_those_of_the_whole_text_however_it_comes() -> None:
    whole = blocks(WHOLE)
    assert len(whole) == 11
    assert blocks(WHOLE, *[1] * len(WHOLE)) == whole
    lines = [len(line) for line in WHOLE.splitlines(keepends=True)]
    assert blocks(WHOLE, *lines) == whole


def test_a_block_comes_as_soon_as_it_is_whole() -> None:
    reader = MarkdownBlocks()
    assert reader.add("A paragraph.\n\n*") == []
    [first] = reader.add("*Another* one.")
    assert (first.text, reader.rest, reader.apart) == ("A paragraph.", "**Another* one.", True)
    # It goes on in the next line, or becomes a heading.
    assert reader.add("\nand more\n---\n") == []
    [heading] = reader.add("- item\n")
    assert heading.tokens[0].tag == "h2"
    assert [block.text for block in reader.end()] == ["- item"]
    assert reader.end() == []


def test_a_long_block_is_not_parsed_for_each_of_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = MarkdownBlocks()
    parsed = 0
    parse = reader._parser.parse

    def count(text: str) -> object:
        nonlocal parsed
        parsed += len(text)
        return parse(text)

    monkeypatch.setattr(reader._parser, "parse", count)
    line = "x = 1\n"
    reader.add("```\n")
    for _ in range(4000):
        reader.add(line)
    assert parsed < 40 * 4000 * len(line)


@given(st.lists(PIECES, max_size=40), st.lists(st.integers(1, 9), max_size=40), st.sampled_from([10, 20, 40, 80]))
def test_whatever_is_written_is_there_whatever_the_width(words: list[str], sizes: list[int], columns: int) -> None:
    text = "".join(words)
    whole = blocks(text)
    assert blocks(text, *sizes) == whole
    # In whole lines, of which each is in one block.
    assert MARKUP.sub("", "".join(block for block, _ in whole)) == MARKUP.sub("", text.replace("\x1b", ""))
    # Sorted, as a table that does not fit is told row by row, with its heads in each.
    seen = Counter(MARKUP.sub("", "".join(shown(text, columns))))
    assert not Counter(MARKUP.sub("", text)) - seen


def test_where_there_is_no_room_for_how_it_would_look_it_is_as_it_was_written() -> None:
    assert shown("> > > deep\n", 20) == ["> > > deep"]
    assert shown("> > > deep\n", 40) == ["▌ ▌ ▌ deep"]


def test_what_is_nested_deeply_is_there_where_there_is_room() -> None:
    text = "\n".join(f"{'  ' * depth}- word{depth}." for depth in range(30))
    seen = "".join(shown(text, 400, lines=60))
    assert [depth for depth in range(30) if f"word{depth}." not in seen] == []
    assert "deep" in "".join(shown("> " * 40 + "deep", 400))
