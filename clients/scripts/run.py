"""Run one function of a script, and write what it returns: `python run.py script.py function`."""

import asyncio
import importlib.util
import inspect
import json
import sys
from pathlib import Path

path, name = sys.argv[1:]
sys.path.insert(0, str(Path(path).parent))
spec = importlib.util.spec_from_file_location("client_script", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
outcome = getattr(module, name)()
if inspect.iscoroutine(outcome):
    outcome = asyncio.run(outcome)
Path("outcome.json").write_text(json.dumps(outcome or {}), "utf-8")
