"""The examples of the SDK, each run with the published package and with ours: what they print is
the same, and is what it should be.

`expected/NAME.txt` is for NAME.py and for NAME_sync.py; ids are numbered in the order in which
they first appear. `UPDATE_GOLDEN=1` writes these files anew, from what the published package prints
where it can.
"""

import os
from pathlib import Path

import pytest

from runner import PYTHONS, REGISTRY, run

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[3] / "sdk/python/examples"
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))
# What an example is given, where it does not stand on the Debian image.
ARGUMENTS = {
    "pull_image": [f"{REGISTRY}/team/tiny:1"],
    "langchain_basic": ["debian:tools"],
}
# These show what the published package does not have.
BEYOND = sorted(EXAMPLES.glob("beyond/*.py"))
ALIKE = sorted(path for path in EXAMPLES.glob("*/*.py") if path not in BEYOND)


def plain(example: Path) -> str:
    """The name that an example shares with its other form."""
    return example.stem.removesuffix("_sync")


def printed(package: str, example: Path, home: Path) -> str:
    done = run(package, home, str(example), *ARGUMENTS.get(plain(example), []))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def expected(example: Path) -> Path:
    return HERE / "expected" / f"{plain(example)}.txt"


@pytest.mark.parametrize("example", ALIKE, ids=lambda path: path.stem)
def test_both_packages_print_the_same(example, tmp_path):
    texts = {package: printed(package, example, tmp_path) for package in PYTHONS}
    if UPDATE:
        expected(example).write_text(texts["published"])
    for package, text in texts.items():
        assert text == expected(example).read_text(), package


@pytest.mark.parametrize("example", BEYOND, ids=lambda path: path.stem)
def test_what_only_ours_can_do(example, tmp_path):
    text = printed("ours", example, tmp_path)
    if UPDATE:
        expected(example).write_text(text)
    assert text == expected(example).read_text()


def test_every_expectation_has_its_example():
    names = {expected(example).name for example in ALIKE + BEYOND}
    assert {path.name for path in (HERE / "expected").iterdir()} == names


def test_both_forms_are_there():
    """But of `popen`, which only the blocking client had, and of the agents."""
    for folder in ("beyond", "client", "images", "run", "session", "branching"):
        names = {path.stem for path in EXAMPLES.glob(f"{folder}/*.py")}
        assert {name.removesuffix("_sync") for name in names} <= names | {"run_popen"}
        assert {f"{name.removesuffix('_sync')}_sync" for name in names} <= names
