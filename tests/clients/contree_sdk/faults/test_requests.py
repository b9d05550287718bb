"""Requests that go wrong: with either package the same errors, and nothing is run twice."""

import os
import time
import uuid

import pytest
from contree_sdk.auth import Auth, JWTAuth
from contree_sdk.sdk.exceptions import (
    ApiStatusCodeError,
    ApiTimeoutError,
    ContreeApiError,
    ContreeTransportError,
    ForbiddenError,
    NotFoundError,
    UnprocessableEntityError,
)
from contree_sdk.sdk.exceptions.api import TooManyRequestsError

from conftest import DEBIAN, TOKEN, URL
from door import (
    Door,
    answered,
    broken,
    cut_after,
    dripped,
    lost,
    passed,
    refused,
    reset,
    silent,
)
from package import FEW_TRIES, OURS
from wire import ask

# A server that takes files of at most 16 MiB.
NARROW_URL = os.environ["CONTREE_TEST_NARROW_URL"]
NARROW_TOKEN = os.environ["CONTREE_TEST_NARROW_TOKEN"]

LIST = "GET /v1/images"
SPAWN = "POST /v1/instances$"


@pytest.fixture
def door():
    door = Door(URL)
    yield door
    door.shut()


@pytest.fixture
def through(open_sdk, door):
    """Opens a client that comes through the door, with settings of the test's own."""

    def through(**settings):
        return open_sdk(auth=JWTAuth(token=TOKEN, base_url=door.url), **settings)

    return through


def behind(base_url, headers):
    """An `Auth` for a server behind a gateway, with whatever that wants to be told."""

    class Behind(Auth):
        def get_headers(self):
            return headers

    return Behind(base_url=base_url)


class Own:
    """As much of an `Auth` as a client asks for."""

    def __init__(self, base_url, headers):
        self.base_url = base_url
        self._headers = headers

    def resolve(self):
        return self

    def get_headers(self):
        return self._headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {TOKEN}", "CF-Access-Client-Id": "someone"},
        {"Authorization": "Basic c29tZTpvbmU="},
        {"X-Api-Key": "key", "User-Agent": "mine/1"},
        {},
    ],
)
@pytest.mark.parametrize("kind", [behind, Own])
def test_who_asks_is_said_in_any_words(open_sdk, door, headers, kind):
    heard = []

    def listening(request):
        heard.append(request.headers)
        passed(request)

    door.keep("", listening)
    sdk = open_sdk(auth=kind(door.url, headers))
    if TOKEN in headers.get("Authorization", ""):
        assert sdk.of(sdk.client.images(number=1))
    else:
        with pytest.raises(ApiStatusCodeError) as raised:
            sdk.of(sdk.client.images(number=1))
        assert raised.value.status == 401
    for sent in heard:
        assert sent | {name.lower(): value for name, value in headers.items()} == sent
        assert headers.keys() & {"Authorization"} or "authorization" not in sent


@pytest.mark.parametrize("seconds", [None, float("inf")])
def test_a_wait_without_bound(through, seconds):
    sdk = through(transport_timeout=seconds)
    assert sdk.of(sdk.client.images(number=1))


def marked(sdk, **settings):
    """A run that can be told from others, and a question for how often the server has it."""
    marker = uuid.uuid4().hex
    image = sdk.of(sdk.client.images.use(DEBIAN))
    run = image.run("echo", args=["once"], env={"MARKER": marker}, **settings)

    def times() -> int:
        operations = (ask(f"/operations/{item['uuid']}") for item in ask("/operations?limit=20"))
        return sum(
            (operation["metadata"].get("env") or {}).get("MARKER") == marker
            for operation in operations
        )

    return run, times


# --- no answer


def test_no_server(through, door):
    sdk = through(**FEW_TRIES)
    image = sdk.of(sdk.client.images.use(DEBIAN))
    door.shut()
    for call in (
        lambda: sdk.of(sdk.client.images()),
        lambda: sdk.of(image.ls("/")),
        lambda: sdk.done(image.run("true")),
    ):
        with pytest.raises(ContreeTransportError) as raised:
            call()
        assert raised.value.request.url.startswith(door.url)
        assert raised.value.request.method in ("GET", "POST")
        assert raised.value.error


def test_a_server_that_never_answers(through, door):
    door.keep(LIST, silent)
    sdk = through(transport_timeout=2, **FEW_TRIES)
    with pytest.raises(ApiTimeoutError) as raised:
        sdk.of(sdk.client.images())
    assert raised.value.timeout_type == "read"
    assert raised.value.request.method == "GET"
    assert raised.value.request.url.startswith(f"{door.url}/v1/images")


def test_an_answer_that_takes_long_but_comes(through, door):
    # The bound is on silence: all of it takes longer than that, each piece much less.
    sdk = through(transport_timeout=5, **FEW_TRIES)
    sdk.of(sdk.client.images.use(DEBIAN, strict=True))
    door.put("GET /v1/inspect/.*/list", dripped(7))
    image = sdk.of(sdk.client.images.use(DEBIAN))
    assert "passwd" in {entry.name for entry in sdk.of(image.ls("/etc/"))}
    assert door.count("GET /v1/inspect/.*/list") == 1


def test_an_answer_that_ends_too_early(through, door):
    sdk = through(**FEW_TRIES)
    image = sdk.of(sdk.client.images.use(DEBIAN, strict=True))
    for end in (None, reset):
        door.keep("GET /v1/inspect/.*/download", cut_after(b"root:", end))
        with pytest.raises(ContreeTransportError):
            sdk.of(image.read("/etc/passwd"))
        door.forget()


@pytest.mark.skipif(not OURS, reason="the published package writes over what is there at once")
def test_a_broken_download_leaves_what_was_there(through, door, tmp_path):
    sdk = through(**FEW_TRIES)
    image = sdk.of(sdk.client.images.use(DEBIAN, strict=True))
    local = tmp_path / "passwd"
    local.write_text("mine\n")
    door.keep("GET /v1/inspect/.*/download", cut_after(b"root:", reset))
    with pytest.raises(ContreeTransportError):
        sdk.of(image.download("/etc/passwd", local))
    assert local.read_text() == "mine\n"
    assert list(tmp_path.iterdir()) == [local]
    door.forget()
    sdk.of(image.download("/etc/passwd", local))
    assert local.read_text().startswith("root:")


# --- refusals


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ApiStatusCodeError),
        (401, ApiStatusCodeError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ApiStatusCodeError),
        (413, ApiStatusCodeError),
        (422, UnprocessableEntityError),
        (429, TooManyRequestsError),
        (500, ApiStatusCodeError),
        (503, ApiStatusCodeError),
    ],
)
def test_what_a_refusal_is(through, door, status, expected):
    door.keep("GET", refused(status, "so it is", X_Request_Id="17"))
    sdk = through(**FEW_TRIES)
    with pytest.raises(ApiStatusCodeError) as raised:
        sdk.of(sdk.client.images())
    error = raised.value
    assert type(error) is expected
    assert (error.status, error.error) == (status, "so it is")
    assert (error.request.method, error.request.url.split("?")[0]) == (
        "GET", f"{door.url}/v1/images",
    )  # fmt: skip
    assert {name.lower(): value for name, value in error.response.headers.items()}[
        "x-request-id"
    ] == "17"


def test_a_refusal_of_something_in_between(through, door):
    """A proxy's page is no JSON; it is the error as it is."""
    door.keep("GET", answered(502, "<h1>Bad gateway</h1>", Content_Type="text/html"))
    sdk = through(**FEW_TRIES)
    with pytest.raises(ApiStatusCodeError) as raised:
        sdk.of(sdk.client.images())
    assert (raised.value.status, raised.value.error) == (502, "<h1>Bad gateway</h1>")


@pytest.mark.parametrize("headers", [{}, {"Retry_After": "1"}], ids=["", "retry-after"])
def test_a_busy_server_is_waited_for(through, door, headers):
    door.put(SPAWN, refused(429, "the queue is full", **headers))
    sdk = through()
    run, times = marked(sdk)
    assert sdk.done(run).stdout == "once\n"
    assert (door.count(SPAWN), times()) == (2, 1)


def test_a_server_that_stays_busy(through, door):
    door.keep(SPAWN, refused(429, "the queue is full", Retry_After="1"))
    sdk = through(operation_run_timeout=1)
    run, _ = marked(sdk)
    with pytest.raises(TooManyRequestsError) as raised:
        sdk.done(run)
    assert raised.value.error == "the queue is full"


def test_a_run_that_the_server_fails_at_is_not_sent_again(through, door):
    door.keep(SPAWN, refused(500, "internal error 17"))
    sdk = through()
    run, _ = marked(sdk)
    with pytest.raises(ApiStatusCodeError) as raised:
        sdk.done(run)
    assert raised.value.status == 500
    assert door.count(SPAWN) == 1


# --- a run whose beginning is not certain


def test_a_reset_while_a_run_is_sent(through, door):
    door.keep(SPAWN, broken)
    sdk = through()
    run, times = marked(sdk)
    with pytest.raises(ContreeTransportError):
        sdk.done(run)
    assert (door.count(SPAWN), times()) == (1, 0)


def test_a_reset_in_place_of_the_answer_to_a_run(through, door):
    """The server has it; sent again it would run twice."""
    door.keep(SPAWN, lost)
    sdk = through()
    run, times = marked(sdk)
    with pytest.raises(ContreeTransportError):
        sdk.done(run)
    assert (door.count(SPAWN), times()) == (1, 1)


def test_no_answer_to_a_run(through, door):
    """The published package sends it again, and it may run twice; ours never does."""

    def accepted_in_silence(request):
        request.take_body()
        with request.to_server() as server:
            server.recv(1)
            silent(request)

    door.put(SPAWN, accepted_in_silence)
    sdk = through(transport_timeout=3)
    run, times = marked(sdk)
    if OURS:
        with pytest.raises(ApiTimeoutError) as raised:
            sdk.done(run)
        assert raised.value.timeout_type == "read"
        expected = 1
    else:
        assert sdk.done(run).stdout == "once\n"
        expected = 2
    # The client did not wait for the server's answer, which may take longer than it did.
    end = time.monotonic() + 60
    while times() != expected and time.monotonic() < end:
        time.sleep(0.05)
    assert (door.count(SPAWN), times()) == (expected, expected)


# --- files


def test_a_file_that_is_too_large(open_sdk, tmp_path):
    sdk = open_sdk(auth=JWTAuth(token=NARROW_TOKEN, base_url=NARROW_URL))
    large = tmp_path / "large"
    large.write_bytes(bytes(16 * 1024 * 1024) + os.urandom(16))
    image = sdk.of(sdk.client.images.use("tiny:1"))
    for call in (
        lambda: sdk.of(sdk.client.files.upload(large)),
        lambda: sdk.done(image.run("true", files=[large])),
        lambda: sdk.of(image.apply_files({"/large": large.read_bytes()})),
    ):
        with pytest.raises(ApiStatusCodeError) as raised:
            call()
        assert raised.value.status == 413
        assert "16777216 bytes" in raised.value.error
    large.write_bytes(large.read_bytes()[: 16 * 1024 * 1024])
    assert sdk.of(sdk.client.files.upload(large)).uuid


def test_an_upload_that_breaks(through, door, tmp_path):
    file = tmp_path / "file"
    file.write_text(f"{uuid.uuid4()}")
    sdk = through(**FEW_TRIES)
    image = sdk.of(sdk.client.images.use(DEBIAN))
    door.keep("POST /v1/files", broken)
    with pytest.raises(ContreeTransportError):
        sdk.done(image.run("cat", args=["/file"], files=[file]))
    assert door.count(SPAWN) == 0
    door.forget()
    assert sdk.done(image.run("cat", args=["/file"], files=[file])).stdout == file.read_text()


# --- while a run goes on


def test_a_run_whose_operation_is_not_there_yet(through, door):
    """A server of several machines may not know it everywhere at once."""
    door.put("GET /v1/operations/[0-9a-f-]{36}$", refused(404, "no such operation"))
    sdk = through()
    run, _ = marked(sdk)
    assert sdk.done(run).stdout == "once\n"


def test_an_import_that_fails_in_the_middle(through, door):
    door.keep("POST /v1/images/import", refused(500, "internal error 18"))
    sdk = through()
    with pytest.raises(ApiStatusCodeError) as raised:
        sdk.of(sdk.client.images.import_from("127.0.0.1:1/absent:1"))
    assert raised.value.status == 500
    assert door.count("POST /v1/images/import") == 1


def test_every_error_is_one_of_the_packages_own(through, door):
    for fault in (broken, silent, refused(418, "a teapot"), answered(500)):
        door.keep("GET /v1/whoami", fault)
        sdk = through(transport_timeout=0.3, **FEW_TRIES)
        with pytest.raises(ContreeApiError) as raised:
            sdk.of(sdk.client.get_token_info())
        assert str(raised.value)
        door.forget()
