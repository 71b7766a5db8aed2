"""`contemplate serve`: the OpenAI-compatible server."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..cluster.minds import mind_named
from ..errors import ConfigurationError
from ..limits import Limits
from .cluster.worker import journal_named
from .exit_codes import ANSWERED
from .journal_file import full_name
from .models import fetch_if_local
from .run_options import prompts_in

if TYPE_CHECKING:
    from ..server import ServerSettings
    from ..server.offer import OfferedMinds


def serve(options: argparse.Namespace) -> int:
    """Serve the model until interrupted, and return the exit code."""
    # First, so that a missing extra, or an address that is refused, is told of before anything is fetched.
    from ..server import ServerSettings, check_address, read_config
    from ..server import serve as run

    if options.minds or options.config:
        # As `python -m` does: what a user names is beside him.
        sys.path.insert(0, os.getcwd())
    config = None if options.config is None else read_config(options.config)
    journal = journal_named(options) if options.workers else _journal(options)
    named = _named(options.minds, None if options.workers else journal)
    if (config is not None or named) and (options.model or options.prompts):
        raise ConfigurationError(
            f"{'MIND' if named else '--config'} says what is served", hint="leave --model and --prompts away"
        )
    settings = _settings(options, ServerSettings() if config is None else config.settings, journal)
    workers = journal if options.workers else None
    check_address(options.host, options.port, allow_remote=bool(settings.keys))
    minds = {**({} if config is None else config.minds), **named}
    if workers is not None and not minds:
        raise ConfigurationError("--workers: no contemplator of theirs is named", hint="serve app:mind --workers ...")
    if minds:
        run(minds=minds, workers=workers, host=options.host, port=options.port, settings=settings)
        return ANSWERED
    prompts = prompts_in(options)
    fetch_if_local(options.model, quiet=False)
    run(
        options.model,
        host=options.host,
        port=options.port,
        settings=settings,
        prompts=prompts,
        journal=journal,
    )
    return ANSWERED


def _named(minds: Sequence[str], journal: str | None) -> OfferedMinds:
    """Return the contemplators that were named, which write down their runs in `journal`, if there is one."""
    pairs = (each.partition("=") for each in minds)
    named = {served: mind or served for served, _, mind in pairs}
    return named if journal is None else {name: mind_named(mind).with_journal(journal) for name, mind in named.items()}


def _settings(options: argparse.Namespace, settings: ServerSettings, journal: str | None) -> ServerSettings:
    """Return `settings` with what `options` say instead."""
    from ..server.key_syntax import KEYS_VARIABLE, read_keys

    keys = read_keys((os.environ.get(KEYS_VARIABLE, ""), *options.api_key), options.key_budget, journal)
    said: dict[str, Any] = {
        "keys": (*settings.keys, *keys) if keys else None,
        "allowed_origins": options.allow_origin and tuple(options.allow_origin),
        "allowed_hosts": options.allow_host and tuple(options.allow_host),
        "max_runs": options.max_runs,
        "max_queued": options.max_queued,
        "drain_seconds": options.drain_seconds,
        "viewer": options.viewer,
        "limits": _limits(options, settings.limits),
    }
    return replace(settings, **{name: value for name, value in said.items() if value is not None})


def _limits(options: argparse.Namespace, limits: Limits) -> Limits:
    said = {
        "seconds": options.max_seconds,
        "total_tokens": options.max_tokens,
        "cost_usd": options.max_cost,
        "calls": options.max_calls,
    }
    return limits.model_copy(update={name: value for name, value in said.items() if value is not None})


def _journal(options: argparse.Namespace) -> str | None:
    return None if options.journal is None else full_name(options.journal)
