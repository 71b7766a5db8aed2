"""Wrappers around a model, one in each file: a plain async function around another model's.

retry            retries after transient errors
rate_limit       the rate limits of an account: who waits at a gate (local_gate, shared_gate), in a line,
                 by the arithmetic in pacing; shared_accounts is what processes that share limits need of a journal
hedge            a second call if the first is slow
fallback         another model if one fails
warm             one call first if prompts share a prefix; who waits for whom is in prefixes
prompted_tools   tools for models that cannot call tools
"""
