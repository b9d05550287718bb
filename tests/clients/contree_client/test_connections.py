"""How requests travel: connections, paths before the API, compression, and cut streams."""

import gzip
import http.client
import json
import time
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from conftest import TOKEN, URL
from contree_client import (
    ClosableStreamRepr,
    NotFoundError,
    OperationStatus,
    RetryPolicy,
    decode_chunk,
)
from front import Front
from runs import run, shell, stdout


@pytest.mark.parametrize("prefix", ["", "/some/where"])
def test_a_server_below_a_path(connect, debian, prefix):
    with Front(URL, prefix=prefix) as front:
        client = connect(base_url=f"{front.url}/")
        assert client.resolve_image("debian:bookworm") == debian
        assert client.inspect_image(debian).uuid == debian
        done = run(client, "echo", debian, args=["through"], disposable=True)
        assert stdout(done) == "through\n"
        assert client.check_image_file(debian, "/etc/passwd") is True


def test_one_connection_serves_many_requests(connect, debian):
    with Front(URL) as front:
        client = connect(base_url=front.url)

        def absent():
            with pytest.raises(NotFoundError):
                client.inspect_image_download(debian, "/no/such/file")

        calls = [
            client.whoami,
            lambda: client.list_images(tag="debian"),
            lambda: client.check_image_file(debian, "/etc/passwd"),
            lambda: client.check_image_file(debian, "/no/such/file"),
            absent,
            lambda: client.upload_file(b"x" * 100_000),
            lambda: client.inspect_image_download(debian, "/etc/passwd"),
            lambda: client.inspect_find_image_by_tag("debian:bookworm"),
        ]
        moments = [time.monotonic()]
        for call in calls * 3:
            call()
            moments.append(time.monotonic())
        # httpx drops a connection that was idle for five seconds, which it can only have been
        # where two calls took as long together, as on a machine that stood still.
        pauses = sum(end - start >= 5 for start, end in zip(moments, moments[2:], strict=False))
        assert 1 <= front.connections <= 1 + pauses


def test_a_cut_event_stream_is_read_on(connect, debian):
    # Text that does not compress well, so that the log is longer than what passes of a stream.
    script = "for i in $(seq 12); do head -c 9000 /dev/urandom | base64 -w0; done"
    done = shell(connect(), script, debian)
    with Front(URL, cut_events_after=80_000) as front:
        client = connect(base_url=front.url)
        events = list(client.follow_operation_events(done.uuid, timeout=60))
        assert front.cuts >= 1
    ids = [event.id for event in events]
    assert ids == sorted(set(ids))
    assert events[0].type == "init" and events[-1].type == "completion"
    output = b"".join(decode_chunk(event.data) for event in events if event.type == "stdout")
    assert output == stdout(done).encode()


def test_a_running_command_is_followed_over_cut_streams(connect, debian):
    lines = [uuid4().hex * 16 + "\n" for _ in range(16)]
    said = []
    with Front(URL, cut_events_after=4_000) as front:
        client = connect(base_url=front.url)
        held = ClosableStreamRepr(value="", close=False)
        operation = client.spawn_instance("cat", debian, stdin=held, disposable=True).uuid
        for event in client.follow_operation_events(operation, timeout=60):
            if event.type == "stdout":
                said.append(decode_chunk(event.data).decode())
            # The next line goes in when the one before has come out.
            if event.type in ("spawn", "stdout") and len(said) < len(lines):
                line = lines[len(said)]
                close = len(said) == len(lines) - 1
                client.operation_subprocess_stdin(operation, 1, line, close=close)
        assert front.cuts >= 1
    assert event.type == "completion"
    assert said == lines


def test_who_is_asking(connect, debian):
    # Clients configured for the hosted service send projects that mean nothing here.
    client = connect(project="aiproject-of-elsewhere", identity="my-agent/1.0")
    assert client.user_agent().startswith("my-agent/1.0 contree-client/0.4.4")
    assert client.inspect_image(debian).uuid == debian


def test_answers_wait_for_retries(connect, debian):
    client = connect(retry=RetryPolicy(delays=(0.01,), max_attempts=3))
    assert client.whoami().token_uuid
    operation = client.spawn_instance("true", debian, disposable=True).uuid
    assert client.wait_operation(operation, timeout=60).status == OperationStatus.SUCCESS
    with pytest.raises(NotFoundError):
        client.get_operation_status(debian)


class Raw:
    """One connection, without a client in between."""

    def __init__(self) -> None:
        parts = urlsplit(URL)
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)

    def __call__(self, method: str, path: str, **headers: str):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(
            method, f"/v1{path}", headers={"Authorization": f"Bearer {TOKEN}", **headers}
        )
        answer = self._connection.getresponse()
        return answer, answer.read()


@pytest.fixture
def raw():
    return Raw()


def test_answers_are_compressed_when_asked(raw, any_client, debian):
    done = shell(any_client, "seq 2000", debian)
    paths = [
        f"/inspect/{debian}/list?path=/usr/bin",
        f"/operations/{done.uuid}",
        f"/operations/{done.uuid}/events",
    ]
    for path in paths:
        plain, body = raw("GET", path)
        assert plain.getheader("Content-Encoding") is None
        packed, wire = raw("GET", path, Accept_Encoding="gzip, deflate, br, zstd")
        assert packed.getheader("Content-Encoding") == "gzip", path
        # Whole, with its trailer.
        assert gzip.decompress(wire) == body
        assert len(wire) < len(body)
        refused, identity = raw("GET", path, Accept_Encoding="gzip;q=0, identity")
        assert refused.getheader("Content-Encoding") is None
        assert identity == body


def test_an_error_is_readable_either_way(raw):
    for encoding in ("identity", "gzip"):
        answer, body = raw("GET", "/operations/nonsense", Accept_Encoding=encoding)
        if answer.getheader("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        error = json.loads(body)
        assert (answer.status, error["status"]) == (400, 400)
        assert isinstance(error["error"], str)


def test_an_answer_to_head_has_no_body(raw, debian):
    for _ in range(2):
        answer, body = raw("HEAD", f"/inspect/{debian}/download?path=/etc/passwd")
        assert (answer.status, body) == (200, b"")
        answer, body = raw("HEAD", f"/inspect/{debian}/download?path=/no/such/file")
        assert (answer.status, body) == (404, b"")


def test_redirects_stay_below_the_path_they_were_asked_at(raw, debian):
    answer, _ = raw("GET", "/inspect/?tag=debian%3Abookworm")
    assert (answer.status, answer.getheader("Location")) == (302, f"{debian}/")
    answer, _ = raw("GET", "/inspect?tag=debian:bookworm")
    assert answer.status == 307
    answer, _ = raw("GET", f"/inspect/{debian}")
    assert answer.status == 307
