"""Traces and metrics for OpenTelemetry, by its conventions for generative AI. Needs the extra `otel`."""

from .traces import Traces

__all__ = ["Traces"]
