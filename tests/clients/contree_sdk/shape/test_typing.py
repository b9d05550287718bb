"""The types of the package, as type checkers see them from where it is installed: on the examples,
and on what people write."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[3] / "sdk/python/examples"
CHECKED = [*sorted(EXAMPLES.glob("*/*.py")), *sorted(HERE.glob("typed_*.py"))]


def show(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs a checker on all of it, shows its closing line, and holds it to no errors."""
    done = subprocess.run(
        [sys.executable, "-m", *words, *map(str, CHECKED)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1:]
    with capsys.disabled():
        print(f"\n{' '.join(words[:2])}, {len(CHECKED)} files: {' '.join(last)}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy(tmp_path, capsys):
    # The examples are scripts of the same names in several folders.
    show(
        ["mypy", "--strict", "--scripts-are-modules", "--cache-dir", str(tmp_path)],
        tmp_path,
        capsys,
    )


def test_pyright(tmp_path, capsys):
    show(["pyright", "--pythonpath", sys.executable], tmp_path, capsys)
