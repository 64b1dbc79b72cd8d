"""The libraries for HTTP.

Each has open(method, url, headers, body, redirects=False), which returns the
answer as soon as its head is there: status, headers, read() for the decoded
body, chunks() and lines() as they come, close(). A body is bytes or a file.
expect holds what else open wants for Expect: 100-continue.
"""

import asyncio
import gzip
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT = 60  # seconds
CHUNK = 1 << 16


class Library:
    expect = {"headers": {"Expect": "100-continue"}}

    def close(self):
        pass


class Answer:
    def __init__(self, status, headers, read, chunks, lines, close):
        self.status, self.headers = status, headers
        self.read, self.chunks, self.lines, self.close = read, chunks, lines, close


class Requests(Library):
    def __init__(self):
        import requests

        self.session = requests.Session()
        self.close = self.session.close

    def open(self, method, url, headers, body, redirects=False):
        r = self.session.request(method, url, headers=headers, data=body, allow_redirects=redirects, stream=True, timeout=TIMEOUT)
        return Answer(r.status_code, r.headers, lambda: r.content, lambda: r.iter_content(CHUNK), lambda: r.iter_lines(1), r.close)


class Httpx(Library):
    def __init__(self, http2=False):
        import httpx

        self.client = httpx.Client(http2=http2, timeout=TIMEOUT)
        self.close = self.client.close

    def open(self, method, url, headers, body, redirects=False):
        request = self.client.build_request(method, url, headers=headers, content=body)
        r = self.client.send(request, stream=True, follow_redirects=redirects)
        return Answer(r.status_code, r.headers, r.read, r.iter_bytes, r.iter_lines, r.close)


class Aiohttp(Library):
    """Looks at no variable of a proxy but with trust_env."""

    expect = {"expect100": True}

    def __init__(self):
        import aiohttp

        self.wait = asyncio.new_event_loop().run_until_complete

        async def new_session():
            return aiohttp.ClientSession(trust_env=True, timeout=aiohttp.ClientTimeout(total=TIMEOUT))

        self.session = self.wait(new_session())

    def close(self):
        self.wait(self.session.close())

    def open(self, method, url, headers, body, redirects=False, **expect):
        r = self.wait(self.session.request(method, url, headers=headers, data=body, allow_redirects=redirects, **expect))

        def until_empty(read):
            return iter(lambda: self.wait(read()), b"")

        return Answer(
            r.status,
            r.headers,
            lambda: self.wait(r.read()),
            lambda: until_empty(r.content.readany),
            lambda: until_empty(r.content.readline),
            r.close,
        )


class Urllib3(Library):
    """Reads no variable itself, so its users pass what the environment says: the
    proxy, and SSL_CERT_FILE, as Debian's asks for the system's roots and not OpenSSL."""

    pool = None

    def new_pool(self, url):
        import urllib3

        settings = {"timeout": TIMEOUT, "ca_certs": os.environ["SSL_CERT_FILE"]}
        proxy = proxy_for(url)
        return urllib3.ProxyManager(proxy, **settings) if proxy else urllib3.PoolManager(**settings)

    def open(self, method, url, headers, body, redirects=False):
        self.pool = self.pool or self.new_pool(url)
        if hasattr(body, "read"):
            headers = headers | {"Content-Length": str(os.path.getsize(body.name))}  # else it sends chunks
        options = {"redirect": redirects, "retries": None if redirects else False, "preload_content": False}
        r = self.pool.request(method, url, headers=headers, body=body, **options)
        return Answer(r.status, r.headers, r.read, lambda: r.stream(CHUNK), lambda: r, r.close)


class Urllib(Library):
    """The standard library's. It follows redirects in any case and decodes nothing."""

    def __init__(self, flags=0):
        self.context = ssl.create_default_context()
        self.context.verify_flags |= flags

    def open(self, method, url, headers, body, redirects=False):
        if hasattr(body, "read"):
            headers = headers | {"Content-Length": str(os.path.getsize(body.name))}  # else it sends chunks
        request = urllib.request.Request(url, data=body, headers=headers, method=method)
        try:
            r = urllib.request.urlopen(request, timeout=TIMEOUT, context=self.context)
        except urllib.error.HTTPError as e:
            r = e

        def read():
            data = r.read()
            return gzip.decompress(data) if r.headers["Content-Encoding"] == "gzip" else data

        return Answer(r.status, r.headers, read, lambda: iter(lambda: r.read(CHUNK), b""), lambda: r, r.close)


def proxy_for(url):
    """The proxy that the environment names for the URL, or None."""
    parts = urllib.parse.urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme.replace("ws", "http"))


BY_NAME = {
    "requests": Requests,
    "httpx": Httpx,
    "httpx-h2": lambda: Httpx(http2=True),
    "aiohttp": Aiohttp,
    "urllib3": Urllib3,
    "urllib": Urllib,
    "urllib-strict": lambda: Urllib(ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN),  # Python 3.13's default
}
