"""Wrappers around a model, one in each file or room: a plain async function around another model's.

retry            retries after transient errors
rate_limit       the rate limits of an account, in a room of their own
hedge            a second call if the first is slow
fallback         another model if one fails
warm             one call first if prompts share a prefix; who waits for whom is in prefixes
prompted_tools   tools for models that cannot call tools
"""
