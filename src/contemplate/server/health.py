"""What those ask who watch the server."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from .metrics import MEDIA_TYPE
from .openapi import Operation


class Health(BaseModel):
    """Whether the server is well, and whether it begins new runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Literal["ok", "ready", "stopping"]


OPERATIONS = (
    Operation("GET", "/healthz", "Tell whether the server lives", Health, needs_key=False),
    Operation("GET", "/readyz", "Tell whether it begins new runs", Health, errors=(503,), needs_key=False),
    Operation("GET", "/metrics", "Tell Prometheus what was done", MEDIA_TYPE),
)
