"""The rows of a file, each with its question: JSON lines, CSV, TSV, or a question a line."""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ...errors import ConfigurationError
from ..arguments.rows import ROW_FORMS

QUESTION = "question"
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
# A cell may be a whole contract.
_LARGEST_CELL = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the file.

    Attributes:
        index: its place, from 0.
        line: the line of the file on which it ends, from 1.
        columns: what stands in it.
        question: what is asked of it; empty if there is a problem.
        id: its id, if it has one.
        problem: why nothing can be asked of it.
    """

    index: int
    line: int
    columns: Mapping[str, Any] = field(default_factory=dict)
    question: str = ""
    id: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is read.

    Attributes:
        path: the file; "-" is standard input.
        form: one of `ROW_FORMS`; by the ending of the file's name if None.
        question: the column that holds the question; "question", or the only column, if None.
        id: the column that holds the id, if there is one.
        prompt: the question with "{column}" for what stands in the row, in place of a column.
        first: how many rows are read; all if None.
    """

    path: str
    form: str | None = None
    question: str | None = None
    id: str | None = None
    prompt: str | None = None
    first: int | None = None

    @classmethod
    def named(cls, options: argparse.Namespace) -> Reading:
        """Return the one that the options of a command name."""
        return cls(
            options.file, options.format, options.question_column, options.id_column, options.prompt, options.first
        )

    def rows(self) -> Iterator[Row]:
        """Read the rows, one at a time.

        Raises:
            ConfigurationError: the file cannot be read, or has no such columns.
        """
        parse = _PARSERS[self._form()]
        column: str | None = None
        # Of ids, digests: there may be many.
        seen: set[int] = set()
        with self._opened() as file:
            for index, (line, columns, problem) in enumerate(parse(file)):
                if self.first is not None and index >= self.first:
                    return
                if problem is None and any(map(_is_torn, columns.values())):
                    problem = "it is not UTF-8"
                if problem is not None:
                    yield Row(index, line, problem=f"line {line}: {problem}")
                    continue
                if column is None:
                    column = self._column(columns)
                    self._check(column, columns, line)
                row = self._row(index, line, columns, column)
                if row.id is not None and hash(row.id) in seen:
                    row = Row(index, line, columns, problem=f"line {line}: the id {row.id!r} stands in an earlier row")
                elif row.id is not None:
                    seen.add(hash(row.id))
                yield row

    def _row(self, index: int, line: int, columns: Mapping[str, Any], column: str) -> Row:
        missing = self._missing(column, columns)
        if missing:
            return Row(index, line, columns, problem=f"line {line}: {missing}")
        question = self._question(column, columns)
        id_ = None if self.id is None else _text(columns[self.id]).strip()
        for what, text in (("the question", question), ("the id", id_)):
            if text is not None and not text.strip():
                return Row(index, line, columns, problem=f"line {line}: {what} is empty")
        return Row(index, line, columns, question, id_)

    def _check(self, column: str, columns: Mapping[str, Any], line: int) -> None:
        """Check the names of the columns by the first row, before anything is asked."""
        missing = self._missing(column, columns)
        if missing:
            raise ConfigurationError(
                f"{self.path}: line {line}: {missing}", hint="--question-column, --id-column and --prompt name columns"
            )

    def _missing(self, column: str, columns: Mapping[str, Any]) -> str | None:
        wanted = _PLACEHOLDER.findall(self.prompt) if self.prompt is not None else [column]
        missing = [name for name in (*wanted, *filter(None, [self.id])) if name not in columns]
        if not missing:
            return None
        return f"there is no {', '.join(map(repr, missing))}; there are: {', '.join(map(repr, columns)) or 'none'}"

    def _column(self, columns: Mapping[str, Any]) -> str:
        if self.question is not None:
            return self.question
        return next(iter(columns)) if len(columns) == 1 else QUESTION

    def _question(self, column: str, columns: Mapping[str, Any]) -> str:
        if self.prompt is None:
            return _text(columns[column])
        return _PLACEHOLDER.sub(lambda found: _text(columns[found[1]]), self.prompt)

    def _form(self) -> str:
        form = self.form or ("jsonl" if self.path == "-" else Path(self.path).suffix.lstrip(".").lower())
        form = {"ndjson": "jsonl", "text": "txt"}.get(form, form)
        if form not in ROW_FORMS:
            raise ConfigurationError(
                f"{self.path}: its name does not say how it is to be read", hint=f"--format {', '.join(ROW_FORMS)}"
            )
        return form

    @contextmanager
    def _opened(self) -> Iterator[TextIO]:
        if self.path == "-":
            yield sys.stdin
            return
        try:
            # What is not UTF-8 is a problem of its row alone.
            file = open(self.path, encoding="utf-8-sig", errors="surrogateescape", newline="")  # noqa: SIM115
        except OSError as error:
            raise ConfigurationError(
                f"{self.path}: {error.strerror or error}", hint="name a file of questions"
            ) from None
        with file:
            yield file


def nothing_to_ask(path: str) -> ConfigurationError:
    """Return the error for a file without a row that can be asked."""
    return ConfigurationError(f"{path}: there is no row that can be asked", hint="look at its first lines")


def _is_torn(value: object) -> bool:
    return isinstance(value, str) and not value.isascii() and any("\udc80" <= each <= "\udcff" for each in value)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_Parsed = Iterator[tuple[int, Mapping[str, Any], str | None]]


def _json_lines(file: TextIO) -> _Parsed:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, {}, f"it is not JSON: {error}"
            continue
        if isinstance(value, str):
            value = {QUESTION: value}
        if isinstance(value, dict):
            yield number, value, None
        else:
            yield number, {}, "it is neither an object nor a text"


def _separated(delimiter: str) -> Callable[[TextIO], _Parsed]:
    def parse(file: TextIO) -> _Parsed:
        csv.field_size_limit(_LARGEST_CELL)
        reader = csv.DictReader(file, delimiter=delimiter, restkey="", strict=True)
        while True:
            try:
                row: dict[str, Any] = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield reader.line_num, {}, f"{error}"
                continue
            if "" in row:
                yield reader.line_num, {}, "it has more cells than there are columns"
            else:
                yield reader.line_num, row, None

    return parse


def _lines(file: TextIO) -> _Parsed:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield number, {QUESTION: line.strip()}, None


_PARSERS = {"jsonl": _json_lines, "csv": _separated(","), "tsv": _separated("\t"), "txt": _lines}
