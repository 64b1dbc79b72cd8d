"""client_grpc.py MODE BASE: grpcio, see ../../clients_grpc_test.go for the service that it calls.

grpcio takes the proxy from https_proxy and the roots from
GRPC_DEFAULT_SSL_ROOTS_FILE_PATH by itself. Messages are plain bytes.
"""

import sys
import urllib.parse

import grpc

BOGUS = [("authorization", "Bearer bogus-of-the-client")]
HELLO = b"hello"


class Client:
    def __init__(self, base):
        host = urllib.parse.urlsplit(base).netloc
        self.channel = grpc.secure_channel(host, grpc.ssl_channel_credentials())

    def call(self, kind, method, request):
        stub = getattr(self.channel, kind)("/keybearer.test.Service/" + method)
        return stub(request, metadata=BOGUS, timeout=60)

    def get(self):
        stub = self.channel.unary_unary("/keybearer.test.Service/Echo")
        answer, call = stub.with_call(HELLO, metadata=BOGUS, timeout=60)
        print(call.initial_metadata(), answer.decode())

    def all(self):
        self.get()
        self.upload("Upload", "upload.bin")
        self.download("Download", "download.bin")

    def upload(self, method, file):
        with open(file, "rb") as f:
            print(self.call("stream_unary", method, iter(lambda: f.read(64 << 10), b"")).decode())

    def download(self, method, file):
        messages = self.call("unary_stream", method, HELLO)
        print(messages.initial_metadata())
        with open(file, "wb") as f:
            for message in messages:
                f.write(message)

    def print(self, method):
        for message in self.call("unary_stream", method, HELLO):
            print(message.decode(), flush=True)

    def hang_up(self):
        messages = self.call("unary_stream", "Forever", HELLO)
        print(next(messages).decode(), flush=True)
        messages.cancel()

    def trailers(self):
        """The status is an error, on purpose."""
        try:
            self.call("unary_unary", "Trailers", HELLO)
        except grpc.RpcError as e:
            print(e.code(), e.details())
            for name, value in e.trailing_metadata():
                print(f"trailer {name}: {value}")
        else:
            sys.exit("the status is OK")


MODES = {
    "get": Client.get,
    "all": Client.all,
    "large-upload": lambda c: c.upload("LargeUpload", "large.bin"),
    "large-download": lambda c: c.download("LargeDownload", "large-download.bin"),
    "stream": lambda c: c.print("Stream"),
    "gzip": lambda c: c.print("Gzip"),
    "hang-up": Client.hang_up,
    "trailers": Client.trailers,
}


def main(mode, base):
    if mode not in MODES:
        print("no such mode:", mode, file=sys.stderr)
        sys.exit(64)
    MODES[mode](Client(base))


main(*sys.argv[1:])
