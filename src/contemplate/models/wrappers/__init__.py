"""Wrappers around a model, a file each: a plain async function around another model's.

retry            again, after errors that may pass
rate_limit       as many calls as an account allows; pacing, its arithmetic
hedge            a second call where the first keeps silent
fallback         another model where one fails
warm             one call first, where prompts begin alike; prefixes, who waits for whom
prompted_tools   tools for models that cannot call any
"""
