"""Documents in a journal, beside its runs."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from contemplate.errors import JournalError
from contemplate.journal import Journal
from contemplate.journal.documents import JournalDocuments

from .conftest import Opened


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "runs.db")


def test_a_document_is_kept_changed_and_deleted(opened: Opened) -> None:
    journal = opened()
    documents = JournalDocuments(journal)
    assert documents.get("a") is None
    assert documents.change("a", lambda before: "one" if before is None else "") is None
    assert documents.change("a", lambda before: f"{before} two") == "one"
    assert JournalDocuments(opened()).get("a") == "one two"
    assert documents.change("a", lambda _: None) == "one two"
    assert documents.get("a") is None
    assert journal.runs() == []


def test_what_raises_changes_nothing(opened: Opened) -> None:
    documents = JournalDocuments(opened())
    documents.change("a", lambda _: "one")
    with pytest.raises(LookupError):
        documents.change("a", _raise)
    assert documents.get("a") == "one"


def test_changes_do_not_get_lost(opened: Opened) -> None:
    own = [JournalDocuments(opened()), JournalDocuments(opened())]

    def add(documents: JournalDocuments) -> None:
        for _ in range(20):
            documents.change("a", lambda before: f"{before or ''}x")

    threads = [threading.Thread(target=add, args=(each,)) for each in (*own, *own)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert own[0].get("a") == "x" * 80


def test_what_is_old_or_one_too_many_is_deleted(opened: Opened) -> None:
    documents = JournalDocuments(opened())
    for name in "cab":
        documents.change(name, lambda _: "text")
    assert documents.names("") == ["c", "a", "b"]
    assert documents.prune(60.0, 2) == 1
    assert documents.names("") == ["a", "b"]
    assert documents.prune(-60.0, 2) == 2
    assert documents.names("") == []


def test_a_damaged_document_is_told(journal: Journal) -> None:
    documents = JournalDocuments(journal)
    documents.change("a", lambda _: "one")
    assert journal.path is not None
    with sqlite3.connect(journal.path) as other:
        other.execute("UPDATE documents SET body = 'two'")
    other.close()
    with pytest.raises(JournalError, match="document 'a'"):
        documents.get("a")
    journal.close()


def test_a_journal_without_documents_is_only_read(journal: Journal) -> None:
    assert journal.runs() == []
    assert JournalDocuments(journal).get("a") is None
    assert journal.path is not None
    with sqlite3.connect(journal.path) as other:
        assert not other.execute("SELECT 1 FROM sqlite_master WHERE name = 'documents'").fetchone()
    other.close()
    journal.close()


def _raise(before: str | None) -> str:
    raise LookupError(before)
