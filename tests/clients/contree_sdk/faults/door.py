"""A way to a server on which things go wrong, as a test says.

A request is matched by its method and path. What it meets is a fault that a test has put in its
way, each once, in the order in which they were put; or, when there are none left, the server.
A connection carries one request, so whatever happens to it happens to that request alone.
"""

import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

Fault = Callable[["Request"], None]


class Door:
    """Listens on loopback; `url` takes the place of the server's."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.seen: list[str] = []
        self._faults: list[tuple[re.Pattern[str], list[Fault], bool]] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def put(self, request: str, *faults: Fault) -> None:
        """Puts these, each once, in the way of requests that match: a start of `METHOD PATH`."""
        self._faults.append((re.compile(request), list(faults), False))

    def keep(self, request: str, fault: Fault) -> None:
        """Puts this in the way of every request that matches."""
        self._faults.append((re.compile(request), [fault], True))

    def forget(self) -> None:
        """Takes everything out of the way again."""
        self._faults.clear()

    def count(self, request: str) -> int:
        """How many requests came that match."""
        return sum(re.match(request, seen) is not None for seen in self.seen)

    def shut(self) -> None:
        """Ends what is open and refuses connections, as if there were no server."""
        # Else a thread that waits for a connection keeps the port.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            opened, self._open = self._open, set()
        for connection in opened:
            reset(connection)

    def open_again(self) -> None:
        """At the same address."""
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=1024)
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(client)
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with suppress(OSError):
                request = Request.read(client, self.server)
                if request is not None:
                    self._fault(request.line)(request)
        finally:
            with self._lock:
                self._open.discard(client)
            # Another thread may be reading it, and would keep it open.
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()

    def _fault(self, line: str) -> Fault:
        with self._lock:
            self.seen.append(line)
            for pattern, faults, kept in self._faults:
                if faults and pattern.match(line):
                    return faults[0] if kept else faults.pop(0)
        return passed


class Request:
    """A request that came, of which the head is known."""

    def __init__(self, client: socket.socket, server: str, head: bytes, rest: bytes) -> None:
        self.client = client
        self._server = urlsplit(server)
        self._head = head
        self._rest = rest
        self.line = head.split(b"\r\n")[0].decode().rsplit(" ", 1)[0]

    @classmethod
    def read(cls, client: socket.socket, server: str) -> "Request | None":
        content = b""
        while b"\r\n\r\n" not in content:
            part = client.recv(65536)
            if not part:
                return None
            content += part
        head, rest = content.split(b"\r\n\r\n", 1)
        return cls(client, server, head, rest)

    @property
    def headers(self) -> dict[str, str]:
        """By their names in small letters."""
        lines = self._head.decode("latin-1").split("\r\n")[1:]
        named = (line.split(":", 1) for line in lines)
        return {name.lower(): value.strip() for name, value in named}

    def take_body(self) -> None:
        """Reads all of the body, so that an answer finds a client that listens."""
        length = re.search(rb"(?im)^content-length: *(\d+)", self._head)
        while (
            len(self._rest) < int(length[1])
            if length
            else b"transfer-encoding: chunked" in self._head.lower()
            and not self._rest.endswith(b"0\r\n\r\n")
        ):
            part = self.client.recv(65536)
            if not part:
                return
            self._rest += part

    def to_server(self) -> socket.socket:
        """A connection to the server, on which the request is sent while it comes."""
        server = socket.create_connection((self._server.hostname, self._server.port))
        lines = self._head.split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith(b"connection:")]
        server.sendall(b"\r\n".join([*kept, b"Connection: close", b"", self._rest]))
        threading.Thread(target=pour, args=[self.client, server], daemon=True).start()
        return server


def pour(source: socket.socket, target: socket.socket) -> None:
    """All that comes from one to the other; the end too."""
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket) -> None:
    """Ends a connection as a machine does that knows nothing of it any more."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # Another thread may be reading it; only this wakes it.
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RD)
    connection.close()


def hold(connection: socket.socket) -> None:
    """Says nothing until the other side goes."""
    with suppress(OSError):
        while connection.recv(65536):
            pass


# --- what a request may meet


def passed(request: Request) -> None:
    """Nothing: it reaches the server, and the answer comes back."""
    with request.to_server() as server:
        pour(server, request.client)


def kept_until(event: threading.Event, fault: Fault) -> Fault:
    """This, once the event is set."""

    def later(request: Request) -> None:
        event.wait()
        fault(request)

    return later


def silent(request: Request) -> None:
    """No answer, ever."""
    hold(request.client)


def answered(status: int, body: bytes | str = b"", **headers: str) -> Fault:
    """This answer, of someone other than the server. `_` in names of headers stands for `-`."""
    body = body.encode() if isinstance(body, str) else body

    def fault(request: Request) -> None:
        request.take_body()
        lines = [f"HTTP/1.1 {status} Because", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        request.client.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    return fault


def refused(status: int, error: str, **headers: str) -> Fault:
    """The server's own form of a refusal."""
    body = f'{{"error": "{error}", "status": {status}}}'
    return answered(status, body, Content_Type="application/json", **headers)


def streamed(events: bytes, then: Callable[[socket.socket], None] | None = None) -> Fault:
    """A stream of these events, and then its end, or `hold` or `reset`."""

    def fault(request: Request) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        request.client.sendall(head + events)
        if then is not None:
            then(request.client)

    return fault


def cut_after(marker: bytes, then: Callable[[socket.socket], None] | None = None) -> Fault:
    """The server's answer up to and with the marker, and then its end, or `hold` or `reset`."""

    def fault(request: Request) -> None:
        with request.to_server() as server:
            told = b""
            while marker not in told:
                part = server.recv(65536)
                if not part:
                    return
                before, told = len(told), told + part
                end = told.find(marker)
                keep = len(told) if end < 0 else end + len(marker)
                request.client.sendall(told[before:keep])
            if then is not None:
                then(request.client)

    return fault


def dripped(seconds: float) -> Fault:
    """The server's answer in small pieces, spread over so many seconds."""
    waiting = threading.Event()

    def fault(request: Request) -> None:
        request.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer = b""
        with request.to_server() as server:
            while part := server.recv(65536):
                answer += part
        size = max(len(answer) // 70, 1)
        pieces = [answer[start : start + size] for start in range(0, len(answer), size)]
        for piece in pieces:
            waiting.wait(seconds / len(pieces))
            request.client.sendall(piece)

    return fault


def broken(request: Request) -> None:
    """A reset while the request is being sent; the server knows nothing of it."""
    reset(request.client)


def lost(request: Request) -> None:
    """The request reaches the server, which answers; what arrives is a reset."""
    request.take_body()
    with request.to_server() as server:
        server.recv(1)
        reset(request.client)
