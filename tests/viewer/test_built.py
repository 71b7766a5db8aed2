"""The page as it is shipped: small, of the sources beside it, and asking for nothing from elsewhere."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from contemplate.server.viewer import page
from contemplate.server.viewer.page import page_file, page_with, run_in

SOURCES = Path(__file__).parent.parent.parent / "viewer"
FILES = ("index.html", "viewer.js", "viewer.css")
MOST_BYTES = 60_000


def test_the_page_is_small() -> None:
    sizes = {name: len(gzip.compress(page_file(name).encode(), 9)) for name in FILES}
    assert sum(sizes.values()) < MOST_BYTES, sizes


def test_the_page_asks_nobody_else() -> None:
    for name in FILES:
        addresses = set(re.findall(r"https?://[\w./-]+", page_file(name)))
        assert addresses <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xhtml",
            "http://www.w3.org/1998/Math/MathML",
        }
    assert not re.search(r"<script(?! src=\"viewer.js\")|<style| on\w+=", page_file("index.html"))
    assert "</script" not in page_file("viewer.js")
    assert "</style" not in page_file("viewer.css")


def test_the_files_are_those_of_the_sources(tmp_path: Path) -> None:
    node, installed = shutil.which("node"), (SOURCES / "node_modules").is_dir()
    if node is None or not installed:
        pytest.skip(
            "NO NODE, OR NO node_modules: that the page is built of its sources is not tested (cd viewer; npm ci)"
        )
    where = {**os.environ, "VIEWER_OUT": str(tmp_path)}
    subprocess.run([node, "build.mjs"], cwd=SOURCES, env=where, check=True, timeout=120)
    for name in FILES:
        assert (tmp_path / name).read_text(encoding="utf-8") == page_file(name), "cd viewer; npm ci; npm run build"


def test_versions_are_pinned_and_no_registry_is_named() -> None:
    lock = (SOURCES / "package-lock.json").read_text(encoding="utf-8")
    package = json.loads((SOURCES / "package.json").read_text(encoding="utf-8"))
    assert "http" not in re.sub(r'"(funding|url)": "[^"]*"', "", lock)
    assert set(package["dependencies"]) == {"preact", "@preact/signals"}
    versions = [*package["dependencies"].values(), *package["devDependencies"].values()]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", each) for each in versions)


def test_an_export_holds_its_run_and_allows_itself_only() -> None:
    lines = [b'{"kind":"noted","message":"</script><script>alert(1)</script>"}\n'] * 3
    html = page_with(lines, "<b>&</b>")
    assert run_in(html) == b"".join(lines)
    assert html == page_with(lines, "<b>&</b>")
    assert "<title>&lt;b&gt;&amp;&lt;/b&gt;</title>" in html
    assert html.count("<script") == 2
    assert "default-src 'none'" in html
    assert "connect-src" not in html
    assert run_in("<html></html>") is None


def test_nothing_may_be_run_but_the_files() -> None:
    response = page.page_response("index.html")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src 'self';" in policy
    assert response.headers["x-content-type-options"] == "nosniff"
