"""What the tests of images and sessions stand on."""

import os

import pytest
from person import Person


@pytest.fixture(scope="session", autouse=True)
def imports(home, tmp_path_factory):
    """An import of several images, started early: the program looks after it every 5 s only."""
    person = Person(home, database=tmp_path_factory.mktemp("imports") / "sessions.db")
    registry = os.environ["CONTREE_TEST_REGISTRY"]
    process = person.start(
        "-o",
        "json",
        "images",
        "import",
        f"{registry}/team/tiny:{{1,2}}",
        f"docker://{registry}/team/tiny:1?tag=imported/named",
        f"{registry}/team/absent:1",
    )
    yield process
    if process.poll() is None:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def on_steps(on_debian, tmp_path_factory):
    person = on_debian.copied(tmp_path_factory.mktemp("steps"))
    for word in ("one", "two"):
        person("run", "-s", "--", f"echo {word} > /root/step")
    return person, [row["image"] for row in person.rows("session", "show")]


@pytest.fixture
def steps(on_steps, tmp_path):
    """A session with three states of one file, and their images."""
    person, images = on_steps
    return person.copied(tmp_path), images
