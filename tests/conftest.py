"""Every async test runs on asyncio and on trio, unless its module says otherwise. None reaches beyond this machine."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio._core._run
import trustme
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from xdist.scheduler import LoadFileScheduling

from . import local_model, network

# What trio draws by chance; there is no public name for it.
trio_chance = trio._core._run._r

# A file is one worker's, and who begins a long one last is alone with it at the end.
LONG = (
    *("test_real_model.py", "test_deadline.py", "test_mcp.py", "viewer/test_page.py"),
    *("models/test_providers.py", "test_faults.py", "journal/test_journal_machine.py", "test_gsm8k.py"),
    *("models/test_pydantic_ai.py", "suspension/test_schedules.py", "journal/test_store.py", "cli/test_live.py"),
    *("cli/test_output.py", "cli/test_signals.py", "cli/test_terminal.py", "models/test_pull.py"),
    *("server/test_server_serving.py", "cluster/test_client.py", "cluster/test_failover.py", "cluster/test_served.py"),
)

# What takes long to import, one worker imports for all the files that need it.
TOGETHER = ("tests/server/test_messages_",)

# What is compiled is kept, whatever the environment says: each process that a test starts would compile all of it anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# No test writes what it learns into the user's cache.
os.environ["CONTEMPLATE_NO_LESSONS"] = "1"

# Tests make and drop much: to look for what holds itself as often as usual takes a twentieth of their time.
gc.set_threshold(20_000, 50, 100)

# How long an example takes says how busy the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=30)
settings.register_profile("thorough", settings.get_profile("any machine"), max_examples=2_000)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say what docs and examples are tried on; see recorded.py."""
    group = parser.getgroup("contemplate")
    group.addoption("--real", action="store_true", help="try docs and examples on the real local model")
    group.addoption("--trio-seed", default="0", help="the order in which trio's tasks run: another one for each seed")
    group.addoption("--record", action="store_true", help="record what the local model answers to them")


# Last, as Hypothesis bears nothing to be tried before its own.
@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the tests together: in a fresh clone, where nobody has compiled them, each worker begins elsewhere."""
    worker: dict[str, Any] | None = getattr(session.config, "workerinput", None)
    if worker is None:
        return
    if worker["workerid"] == "gw0":
        # Hypothesis tries every character, and keeps what it found in a file, where the others will find it.
        st.text().validate()
    places = [Path(session.config.invocation_params.dir, arg.partition("::")[0]) for arg in session.config.args]
    files = sorted({each for place in places for each in place.rglob("test_*.py")})
    for file in files[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]:
        if any(file.parent.joinpath("__pycache__").glob(f"{file.stem}.*pytest*")):
            continue
        # What is wrong with it, its collection says.
        with suppress(Exception, pytest.skip.Exception):
            import_module(".".join(file.relative_to(Path(__file__).parent.parent).with_suffix("").parts))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was tried on the real model although it need not have been."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    said = [dict(getattr(report, "user_properties", ())).get("real") for report in reports if _is_call(report)]
    for why, times in Counter(filter(None, said)).items():
        terminalreporter.write_line(f"{times} on the real model: {why}")


def _is_call(report: object) -> bool:
    return getattr(report, "when", None) == "call"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays until the end: nobody need look there for what holds itself."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(LONG)))


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop() -> Generator[None, object, object]:
    """No server is asked that the world's authorities vouch for, so that one that nobody knows is enough."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "ca.pem"
        trustme.CA().cert_pem.write_to_path(file)
        with network.trusting(file):
            return (yield)


class ByImports(LoadFileScheduling):  # type: ignore[misc]
    """A file is one worker's, and so are all those that import what takes long."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((each for each in TOGETHER if file.startswith(each)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByImports | None:
    """Give out files, unless something else is asked for."""
    return ByImports(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop that a test runs on."""
    return str(request.param)


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a worker's test, and tell only of the test itself, unless its fixtures failed or their times are asked for.

    Each report is sent to the controller: of three for each of all these tests, two say nothing.
    """
    config = item.config
    if not hasattr(config, "workerinput") or config.getoption("durations") or config.getoption("xmlpath"):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if report.when == "call" or not report.passed:
            item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


# Hooks, as four fixtures of each test would take a quarter of the time of a short one.
@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """No test reaches beyond this machine, and one that fails on trio fails again.

    Chance, which orders the tasks there, is the test's own and the seed's.
    """
    trio_chance.seed(f"{item.config.getoption('trio_seed')} {item.nodeid}")
    network.refuse()
    yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    """No test knows what another one learnt of a server, or has tried to reach beyond this machine."""
    yield
    notebook = sys.modules.get("contemplate.models.openai.lesson_store")
    if notebook is not None:
        notebook.forget_lessons()
    assert not network.refusals()


@pytest.fixture(scope="module")
def one_at_a_time() -> Iterator[None]:
    """Among all processes that test, one at a time goes on from here."""
    with local_model.turn():
        yield


@pytest.fixture(scope="module")
def no_earlier_leftovers() -> None:
    """What other files' tests have left is not taken for this one's."""
    gc.collect()


@pytest.fixture
def no_leftovers(no_earlier_leftovers: None) -> Iterator[None]:
    """Fails a test after which something was left: a task whose error nobody saw, an open generator, a socket.

    Warnings are errors, those of the garbage collector too, so that collecting here is enough to see them.
    """
    # Among what the test has made: to look through all that there is takes longer than most of these tests.
    gc.freeze()
    complaints: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: complaints.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("asyncio").addHandler(handler)
    try:
        yield
        gc.collect()
    finally:
        logging.getLogger("asyncio").removeHandler(handler)
    assert not complaints


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Half of a surrogate pair in a failure's text would end all the workers' tests: it cannot be sent."""
    report = yield
    text = str(report.longrepr or "")
    if not text.isascii() and text != text.encode(errors="replace").decode():
        report.longrepr = text.encode(errors="backslashreplace").decode()
    return report
