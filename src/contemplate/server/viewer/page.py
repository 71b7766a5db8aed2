"""The viewer's page: its files as they were built, how they are sent, and a page that holds a run by itself."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files

from starlette.responses import Response

_TYPES = {"index.html": "text/html", "viewer.js": "text/javascript", "viewer.css": "text/css"}
_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; img-src data:; "
_HEADERS = {
    "content-security-policy": f"{_POLICY}script-src 'self'; style-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


@cache
def page_file(name: str) -> str:
    """Return a file of the page as text: "index.html", "viewer.js" or "viewer.css"."""
    return files(__package__).joinpath("static", name).read_text(encoding="utf-8")


def page_response(name: str) -> Response:
    """Return a file of the page."""
    return Response(page_file(name), media_type=f"{_TYPES[name]}; charset=utf-8", headers=_HEADERS)


def page_with(lines: Iterable[bytes], title: str) -> str:
    """Return a page of one file that shows the run whose events `lines` are, and asks nobody for anything."""
    script, style = page_file("viewer.js"), page_file("viewer.css")
    # Compressed as of no time, so that equal runs give equal files.
    data = base64.b64encode(gzip.compress(b"".join(lines), mtime=0)).decode()
    policy = f"{_POLICY}script-src {_hash_of(script)}; style-src {_hash_of(style)}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<div id="app"></div>\n<script type="application/gzip" id="run">{data}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def run_in(page: str) -> bytes | None:
    """Return the lines of the run that such a page shows; None if it is no such page."""
    _, start, rest = page.partition('<script type="application/gzip" id="run">')
    data, end, _ = rest.partition("</script>")
    return gzip.decompress(base64.b64decode(data)) if start and end else None


def _hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"
