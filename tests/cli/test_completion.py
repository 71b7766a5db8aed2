"""Completion of commands, in a real shell."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from .asking import here

COMPLETE = """
eval "$SCRIPT"
COMP_WORDS=({words}) COMP_CWORD={last}
$(complete -p contemplate | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("contemplate sh", {"show"}),
        ("contemplate ask --mo", {"--mode", "--model"}),
        ("contemplate ask --mode v", {"verify", "vote"}),
        ("contemplate completion z", {"zsh"}),
    ],
)
def test_bash_completes(typed: str, offered: set[str]) -> None:
    words = typed.split()
    command = COMPLETE.format(words=typed, last=len(words) - 1)
    script = here("completion", "bash").stdout
    done = subprocess.run(
        ["bash", "-c", command],
        env={"SCRIPT": script, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == offered, done.stderr


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_have_a_script(shell: str) -> None:
    done = here("completion", shell)
    assert done.returncode == 0
    assert "reaggregate" in done.stdout


def test_without_shtab_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    done = here("completion", "bash")
    assert done.returncode != 0
    assert "contemplate-ai[cli]" in done.stderr
