"""One wheel for every Python from 3.10 on: each that is here installs it and runs with it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import DEBIAN, TOKEN, URL

WHEEL = os.environ["CONTREE_TEST_WHEEL"]

RUN = f"""
import asyncio, sys
from contree_sdk import Contree, ContreeSync
from contree_sdk.auth import JWTAuth
from contree_sdk.config import ContreeConfig

config = ContreeConfig(auth=JWTAuth(token={TOKEN!r}, base_url={URL!r}))
image = ContreeSync(config).images.use({DEBIAN!r})
print(image.run("echo", args=["blocking"]).wait().stdout, end="")

async def main():
    image = await Contree(config).images.use({DEBIAN!r})
    made = await asyncio.gather(*(image.run("echo", args=[str(n)]) for n in range(5)))
    print([one.stdout for one in made])

asyncio.run(main())
"""


def pythons() -> dict[str, str]:
    """By version, those that work: of PATH, and of pyenv where there is one."""
    found: dict[str, str] = {}
    folders = [Path(folder) for folder in os.environ["PATH"].split(":") if folder]
    if shim := shutil.which("pyenv"):
        folders += sorted(Path(shim).resolve().parents[1].glob("versions/*/bin"))
    for folder in folders:
        for program in sorted(folder.glob("python3.*")):
            version = re.fullmatch(r"python(3\.\d+)", program.name)
            if version is None or int(version[1].partition(".")[2]) < 10 or version[1] in found:
                continue
            # A shim of a version that is not chosen is there, but does not work.
            probe = [str(program), "-c", "import venv"]
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                found[version[1]] = str(program)
    return found


PYTHONS = pythons()


def test_there_is_one(capsys):
    with capsys.disabled():
        print(f"\nPythons that the wheel is tried with: {', '.join(sorted(PYTHONS))}")
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in PYTHONS


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_the_wheel_runs(version, tmp_path):
    # Nothing else is in this environment: the wheel needs no other package.
    venv = [PYTHONS[version], "-m", "venv", "--without-pip", str(tmp_path / "venv")]
    subprocess.run(venv, check=True)
    python = str(tmp_path / "venv/bin/python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index"]
    subprocess.run([*pip, WHEEL], check=True)
    done = subprocess.run(
        [python, "-W", "error", "-c", RUN],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"blocking\n{[f'{n}{chr(10)}' for n in range(5)]}\n"
    assert done.stderr == ""
