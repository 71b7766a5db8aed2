"""Real clients against a real server: each in an environment of its own, on scripted models.

```
python -m clients --all                      # every client, and the table in docs/clients.md
python -m clients openai-python codex        # some of them
python -m clients codex --feature tools -v   # one cell, with what client and server said
```

catalog.toml   the clients: what to install, in which version, and their settings
catalog        the same, read
environments   a venv or an npm folder for each client, in a cache
features       what each feature asks, and what must come of it
minds          the scripted model behind the server, driven by what it is asked
serve          the server, in a process of its own; server_process, that process
cells          one client and one feature: run, and judged
page           the table in the docs
scripts/       what the clients do, a file each
"""
