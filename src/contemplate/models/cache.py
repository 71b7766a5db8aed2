"""Where the library keeps files that it can get again: local models, and what was learnt of servers."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """Return the folder: `CONTEMPLATE_CACHE`, else `contemplate` in the user's cache directory."""
    chosen = os.environ.get("CONTEMPLATE_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("contemplate")
