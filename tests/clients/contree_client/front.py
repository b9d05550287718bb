"""A front on loopback, as proxies stand before a server: it can mount the server below a path,
count the connections made, and cut event streams off."""

import socket
import threading
from urllib.parse import urlsplit


class Front:
    """Passes bytes between its clients and a server until closed.

    With `prefix`, requests below that path reach the server without it. With `cut_events_after`,
    each answer on an event stream is cut off, together with its connection, after so many bytes.
    """

    def __init__(self, url: str, *, prefix: str = "", cut_events_after: int | None = None) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname, parts.port)
        self._prefix = prefix
        self._cut_events_after = cut_events_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}{prefix}"
        self.connections = 0
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Front":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._connection, args=(near,), daemon=True).start()

    def _connection(self, near: socket.socket) -> None:
        with near, socket.create_connection(self._server) as far:
            passage = Passage()
            requests = threading.Thread(target=self._requests, args=(near, far, passage))
            requests.start()
            self._answers(near, far, passage)
            requests.join()

    def _requests(self, near: socket.socket, far: socket.socket, passage: "Passage") -> None:
        try:
            # Clients write the head of a request at once, so it never comes in halves.
            while chunk := near.recv(65536):
                line = chunk.split(b"\r\n", 1)[0]
                if line.endswith(b" HTTP/1.1"):
                    passage.limit = self._cut_events_after if b"/events" in line else None
                far.sendall(chunk.replace(f" {self._prefix}/v1/".encode(), b" /v1/"))
            far.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _answers(self, near: socket.socket, far: socket.socket, passage: "Passage") -> None:
        try:
            while chunk := far.recv(65536):
                if passage.limit is not None:
                    if len(chunk) > passage.limit:
                        near.sendall(chunk[: passage.limit])
                        self.cuts += 1
                        break
                    passage.limit -= len(chunk)
                near.sendall(chunk)
            near.shutdown(socket.SHUT_RDWR)
            far.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Passage:
    """What one connection may still pass of the answer under way; None: everything."""

    limit: int | None = None
