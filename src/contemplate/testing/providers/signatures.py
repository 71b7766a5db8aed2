"""Signatures that a provider puts on tool calls, and wants back."""

from __future__ import annotations

from base64 import b64encode


def signature_of(call_id: str) -> str:
    """Return the signature of the tool call `call_id`."""
    return b64encode(f"signed:{call_id}".encode()).decode()
