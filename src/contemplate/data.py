"""The base class of every value object: frozen, without extra fields, and with a lossless JSON round trip."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Data(BaseModel):
    """A frozen value with a JSON round trip (`model_dump_json`, `model_validate_json`)."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        ser_json_bytes="base64",
        val_json_bytes="base64",
        ser_json_inf_nan="strings",
        protected_namespaces=(),
    )
