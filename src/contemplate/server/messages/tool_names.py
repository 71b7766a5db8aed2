"""Names of tools: this API takes longer ones than most models' servers do."""

from __future__ import annotations

import re
from hashlib import blake2b

# https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use: at most 128; others take 64.
_LONG = re.compile(r"[a-zA-Z0-9_-]{65,128}")
_BEGINNING = 55


def short_name(name: str) -> str:
    """Return a name as it stands within a run: a long one by its beginning and a digest, 64 characters in all."""
    if _LONG.fullmatch(name) is None:
        return name
    return f"{name[:_BEGINNING]}_{blake2b(name.encode(), digest_size=4).hexdigest()}"
