"""The examples of the SDK, each run with the published package and with ours: what they print is
the same, and is what it should be.

`expected/NAME.txt` is for NAME.py and for NAME_sync.py; ids are numbered in the order in which
they first appear. `UPDATE_GOLDEN=1` writes these files anew from what the published package prints.
"""

import os
import re
import subprocess
import uuid
from pathlib import Path

import pytest

from conftest import TOKEN, URL

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[3] / "sdk/python/examples"
# By package: the program of the environment that has it. Ours comes last.
PYTHONS = {
    name: os.environ[f"CONTREE_TEST_PYTHON_{name.upper()}"]
    for name in ("published", "ours")
    if f"CONTREE_TEST_PYTHON_{name.upper()}" in os.environ
}
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))
REGISTRY = os.environ["CONTREE_TEST_REGISTRY"]
# What an example is given, where it does not stand on the Debian image.
ARGUMENTS = {
    "pull_image": [f"{REGISTRY}/team/tiny:1"],
    "langchain_basic": ["debian:tools"],
}
# These show what the published package does not have.
BEYOND = sorted(path for path in EXAMPLES.glob("beyond/*.py"))
ALIKE = sorted(path for path in EXAMPLES.glob("*/*.py") if path not in BEYOND)


@pytest.fixture
def home(tmp_path):
    """A home with the profile that the examples take."""
    folder = tmp_path / ".config" / "contree"
    folder.mkdir(parents=True)
    (folder / "auth.ini").write_text(f"""\
[DEFAULT]
profile = here

[profile:here]
type = jwt
url = {URL}
token = {TOKEN}
""")
    return tmp_path


@pytest.fixture
def run(home):
    """Runs an example with a package, and returns what it printed."""

    def run(package: str, example: Path) -> str:
        done = subprocess.run(
            [PYTHONS[package], str(example), *ARGUMENTS.get(plain(example), [])],
            cwd=home,
            env={
                "HOME": str(home),
                "PATH": os.environ["PATH"],
                "LANG": "C.UTF-8",
                "MSWEA_SILENT_STARTUP": "1",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return numbered(done.stdout)

    return run


def plain(example: Path) -> str:
    """The name that an example shares with its other form."""
    return example.stem.removesuffix("_sync")


def numbered(text: str) -> str:
    """The text with each id replaced by its number, and without what belongs to this test run."""
    seen: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        assert uuid.UUID(found[0])
        return seen.setdefault(found[0], f"<{len(seen) + 1}>")

    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", number, text)
    return text.replace(REGISTRY, "<registry>")


def expected(example: Path) -> Path:
    return HERE / "expected" / f"{plain(example)}.txt"


@pytest.mark.parametrize("example", ALIKE, ids=lambda path: path.stem)
def test_both_packages_print_the_same(run, example):
    printed = {package: run(package, example) for package in PYTHONS}
    if UPDATE:
        expected(example).parent.mkdir(exist_ok=True)
        expected(example).write_text(printed["published"])
    for package, text in printed.items():
        assert text == expected(example).read_text(), package


@pytest.mark.skipif("ours" not in PYTHONS, reason="needs our package")
@pytest.mark.parametrize("example", BEYOND, ids=lambda path: path.stem)
def test_what_only_ours_can_do(run, example):
    printed = run("ours", example)
    if UPDATE:
        expected(example).write_text(printed)
    assert printed == expected(example).read_text()


def test_every_expectation_has_its_example():
    names = {expected(example).name for example in ALIKE + BEYOND}
    assert {path.name for path in (HERE / "expected").iterdir()} == names


def test_both_forms_are_there():
    """But of `popen`, which only the blocking client had, and of the agents."""
    for folder in ("client", "images", "run", "session", "branching"):
        names = {path.stem for path in EXAMPLES.glob(f"{folder}/*.py")}
        assert {name.removesuffix("_sync") for name in names} <= names | {"run_popen"}
        assert {f"{name.removesuffix('_sync')}_sync" for name in names} <= names
