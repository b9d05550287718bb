"""All scripts are begun at once, some at a time, and each test waits for its own.

More of them than there are processors: contree-cli spends seconds asleep before it asks again.
"""

import importlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import compare  # noqa: E402
import script as scripts  # noqa: E402
from differences import INTENDED  # noqa: E402
from walk import BASE, Walker, administer  # noqa: E402

for module in sorted((HERE / "scripts").glob("*.py")):
    importlib.import_module(f"scripts.{module.stem}")

WAYS = ("theirs", "ours", "in turn, ours first", "in turn, theirs first")


def pytest_generate_tests(metafunc):
    if "walked" in metafunc.fixturenames:
        metafunc.parametrize(
            "walked", scripts.ALL, ids=lambda script: script.name, indirect=True, scope="session"
        )


@pytest.fixture(scope="session")
def walks(request, tmp_path_factory):
    """The walks of the chosen scripts, as they will be."""
    administer("publish", f"tag:{BASE}", BASE)
    chosen = [
        item.callspec.params["walked"]
        for item in request.session.items
        if hasattr(item, "callspec") and "walked" in item.callspec.params
    ]
    # Homes are made here: pytest does not make folders for several threads at once, it takes away what
    # another has just begun.
    with ThreadPoolExecutor(max(6, 2 * (os.cpu_count() or 1))) as pool:
        yield {
            script.name: [
                (way, pool.submit(walk, script, way, tmp_path_factory.mktemp("home")))
                for way in WAYS[: 4 if script.in_turn else 2]
            ]
            for script in chosen
        }


def walk(script, way, home):
    return Walker(script, way, home).walk()


@pytest.fixture(scope="session")
def told(request):
    """What the tests found, for the end."""
    request.config.told = {"scripts": 0, "lines": 0, "same": 0, "used": set()}
    return request.config.told


@pytest.fixture(scope="session")
def walked(request, walks, told):
    """A script, and what its walks differ in that nobody means: (way, difference)."""
    script = request.param
    ways = {way: future.result() for way, future in walks[script.name]}
    theirs = ways.pop("theirs")
    unlisted = []
    other = set()
    for way, walk in ways.items():
        for found in compare.differences(script.name, theirs, walk):
            listed = [entry for entry in INTENDED if entry.is_of(found)]
            told["used"].update(listed)
            other.add(found.line)
            if not listed:
                unlisted.append((way, found))
    lines = script.lines()
    told["scripts"] += 1
    told["lines"] += len(lines)
    told["same"] += sum(line.text not in other for line in lines)
    return script, unlisted


def pytest_terminal_summary(terminalreporter, config):
    told = getattr(config, "told", None)
    if told is None:
        return
    reasons = {}
    for entry in INTENDED:
        if entry in told["used"]:
            reasons.setdefault(entry.reason, []).append(entry)
    terminalreporter.line(
        f"{told['scripts']} scripts, {told['lines']} command lines, {told['same']} the same, "
        f"{len(reasons)} intended differences:"
    )
    for reason, entries in reasons.items():
        places = sorted({entry.line if entry.line != '*' else entry.place for entry in entries})
        terminalreporter.line(f"- {reason}  [{'; '.join(places)}]")
