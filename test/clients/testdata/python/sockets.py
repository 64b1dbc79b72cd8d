"""The libraries for WebSocket.

Each takes a URL and headers, and has send_text(), send_bytes(), receive() for the
next message, and close(code), which returns the code that the other side closed
with.
"""

import asyncio
import struct
import urllib.parse

from libraries import TIMEOUT, Aiohttp, proxy_for


class Websockets:
    """Debian's version knows no proxies (15.0 is the first that does): python-socks,
    which its maintainers advise, opens the tunnel and hands over the socket."""

    def __init__(self, url, headers):
        self.wait = asyncio.new_event_loop().run_until_complete
        self.socket = self.wait(self.open(url, headers))

    async def open(self, url, headers):
        import websockets
        from python_socks.async_.asyncio import Proxy

        options = {"extra_headers": headers, "open_timeout": TIMEOUT}
        if proxy := proxy_for(url):
            host = urllib.parse.urlsplit(url).hostname
            options |= {"sock": await Proxy.from_url(proxy).connect(host, 443), "server_hostname": host}
        return await websockets.connect(url, **options)

    def send_text(self, message):
        self.wait(self.socket.send(message))

    send_bytes = send_text  # it goes by the type

    def receive(self):
        return self.wait(self.socket.recv())

    def close(self, code):
        self.wait(self.socket.close(code))
        return self.socket.close_code


class WebsocketClient:
    """Takes the proxy from the environment, and leaves SSL_CERT_FILE to OpenSSL."""

    def __init__(self, url, headers):
        import websocket

        self.socket = websocket.create_connection(url, header=headers, timeout=TIMEOUT)
        self.send_text, self.send_bytes, self.receive = self.socket.send, self.socket.send_binary, self.socket.recv

    def close(self, code):
        self.socket.send_close(code)
        _, data = self.socket.recv_data(control_frame=True)
        return struct.unpack("!H", data[:2])[0]


class AiohttpSocket:
    def __init__(self, url, headers):
        self.library = Aiohttp()
        self.wait = self.library.wait
        self.socket = self.wait(self.library.session.ws_connect(url, headers=headers))

    def send_text(self, message):
        self.wait(self.socket.send_str(message))

    def send_bytes(self, message):
        self.wait(self.socket.send_bytes(message))

    def receive(self):
        return self.wait(self.socket.receive(TIMEOUT)).data

    def close(self, code):
        self.wait(self.socket.close(code=code))
        self.library.close()
        return self.socket.close_code


BY_NAME = {"aiohttp": AiohttpSocket, "websockets": Websockets, "websocket-client": WebsocketClient}
