"""Files on their way into images and out of them."""

import base64
import hashlib
import stat

import pytest
from agent import DEBIAN


@pytest.fixture
def project(tmp_path):
    """A folder such as an agent works in."""
    for name, text in {"main.sh": "echo main\n", "lib/part.txt": "part\n", "x.pyc": "no\n"}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "main.sh").chmod(0o750)
    return tmp_path


def test_a_folder_is_synchronized(agent, project):
    sync = {"source": str(project), "destination": "/app/", "exclude": ["*.pyc"]}
    state = agent("rsync", **sync)
    assert type(state) is int
    look = "cd /app; find . -type f -printf '%P %m\n' | sort; cat main.sh"
    result = agent.run(look, directory_state_id=state)
    assert result["stdout"] == "lib/part.txt 644\nmain.sh 750\necho main\n"
    # Nothing has changed, and the state is the same; then one file has.
    assert agent("rsync", **sync) == state
    (project / "lib/part.txt").write_text("changed\n")
    agent("rsync", **sync)
    assert agent.run("cat /app/lib/part.txt", directory_state_id=state)["stdout"] == "changed\n"
    assert "absolute" in agent.refused("rsync", source="relative", destination="/app")
    assert "not found" in agent.refused("run", command="true", image=DEBIAN, directory_state_id=999)


def test_files_are_uploaded_and_placed(agent, project):
    text = agent("upload", content="as text ä\n")
    assert text["sha256"] == hashlib.sha256("as text ä\n".encode()).hexdigest()
    binary = agent("upload", content_base64=base64.b64encode(b"\x00\xff").decode())
    assert binary["size"] == 2
    local = agent("upload", path=str(project / "main.sh"))
    # The same bytes are the same file.
    assert agent("upload", content="echo main\n")["uuid"] == local["uuid"]
    files = {"/in/text": text["uuid"], "/in/bytes": binary["uuid"], "/in/main": local["uuid"],
             "/in/again": local["uuid"]}  # fmt: skip
    result = agent.run("cd /in; stat -c '%n %s %a %u' *; sh again", files=files)
    assert result["stdout"].splitlines() == [
        "again 10 644 0", "bytes 2 644 0", "main 10 644 0", "text 11 644 0", "main",
    ]  # fmt: skip
    assert "File not found" in agent.refused("upload", path=str(project / "absent"))
    unknown = {"/x": "01890000-0000-7000-8000-000000000000"}
    assert "40" in agent.refused("run", command="true", image=DEBIAN, files=unknown)


def test_files_are_downloaded(agent, project):
    made = "head -c 5000000 /dev/urandom > /big; sha256sum < /big; ln -s /big /link"
    result = agent.run(made, disposable=False)
    image, digest = result["result_image_uuid"], result["stdout"].split()[0]
    target = project / "new" / "folder" / "big"
    done = agent("download", image=image, path="/link", destination=str(target), executable=True)
    assert done["size"] == 5_000_000 and done["source"]["image"] == image
    assert hashlib.sha256(target.read_bytes()).hexdigest() == digest
    assert stat.S_IMODE(target.stat().st_mode) == 0o755
    absent = agent.refused("download", image=image, path="/absent", destination=str(project / "no"))
    assert "404" in absent and not (project / "no").exists()
