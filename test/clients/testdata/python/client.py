"""client.py LIBRARY MODE BASE: the modes of ../../clients_test.go, for each library.

What differs between the libraries is in libraries.py and, for WebSocket, in
sockets.py. One that is for WebSocket alone does the same in get and all as in
websocket.
"""

import contextlib
import sys

import libraries
import sockets

BOGUS = {"Authorization": "Bearer bogus-of-the-client"}


class Client:
    """A library at work on BASE."""

    def __init__(self, library, base):
        self.library, self.base = library, base

    def open(self, method, path, body=None, headers={}, **more):
        """Sends a request and prints the head of the answer; the body is still to be read."""
        answer = self.library.open(method, self.base + path, BOGUS | headers, body, **more)
        print(answer.status, dict(answer.headers), flush=True)
        if answer.status != 200:
            sys.exit(f"{method} {path}: status {answer.status}: {answer.read()!r}")
        return answer

    def show(self, *request, **more):
        print(self.open(*request, **more).read().decode())

    def save(self, path, name):
        answer = self.open("GET", path)
        with open(name, "wb") as f:
            for chunk in answer.chunks():
                f.write(chunk)

    def print_lines(self, path):
        for line in self.open("GET", path).lines():
            print(text(line), flush=True)


def get(client):
    client.show("GET", "/echo")


def everything(client):
    get(client)
    with open("upload.bin", "rb") as f:
        client.show("POST", "/upload", f.read())
    client.save("/download", "download.bin")


def large_upload(client):
    with open("large.bin", "rb") as f:
        client.show("POST", "/large", f)


def expect_continue(client):
    """Only aiohttp waits for the 100. To the others Expect is a field like any:
    they send the body at once and have to read over the 100."""
    with open("upload.bin", "rb") as f:
        client.show("POST", "/continue", f.read(), **client.library.expect)


def trailers(client):
    """None of the libraries shows a trailer: they have to read over them."""
    client.show("GET", "/trailers", headers={"TE": "trailers"})


def hang_up(client):
    answer = client.open("GET", "/forever")
    print(text(next(iter(answer.lines()))), flush=True)
    answer.close()


MODES = {
    "get": get,
    "all": everything,
    "large-upload": large_upload,
    "large-download": lambda client: client.save("/large", "large-download.bin"),
    "stream": lambda client: client.print_lines("/stream"),
    "events": lambda client: client.print_lines("/events"),
    "continue": expect_continue,
    "redirect": lambda client: client.show("GET", "/redirect", redirects=True),
    "gzip": lambda client: client.show("GET", "/gzip", headers={"Accept-Encoding": "gzip"}),
    "trailers": trailers,
    "hang-up": hang_up,
}


def websocket(connect, base):
    socket = connect("ws" + base.removeprefix("http") + "/websocket", BOGUS)
    socket.send_text("hello-from-the-client")
    print(socket.receive())
    data = b"\x07" * 100_000
    socket.send_bytes(data)
    if (got := socket.receive()) != data:
        sys.exit(f"{len(data)} bytes were sent and {len(got)} came back, or others")
    print("closed", socket.close(1000))


def text(line):
    return (line.decode() if isinstance(line, bytes) else line).rstrip("\r\n")


def main(library, mode, base):
    http, socket = libraries.BY_NAME.get(library), sockets.BY_NAME.get(library)
    if socket and (mode == "websocket" or mode in ("get", "all") and not http):
        websocket(socket, base)
    elif http and mode in MODES:
        with contextlib.closing(http()) as opened:
            MODES[mode](Client(opened, base))
    else:
        print("no such mode", file=sys.stderr)
        sys.exit(64)


main(*sys.argv[1:])
