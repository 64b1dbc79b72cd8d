"""client.py LIBRARY get|all BASE: the steps of every client, see ../clients_test.go."""

import asyncio
import sys

BOGUS = {"Authorization": "Bearer bogus-of-the-client"}


def with_requests():
    import requests

    def call(method, url, data=None):
        r = requests.request(method, url, headers=BOGUS, data=data, timeout=60)
        return r.status_code, r.headers, r.content

    return call


def with_httpx(http2=False):
    import httpx

    client = httpx.Client(http2=http2, timeout=60)

    def call(method, url, data=None):
        r = client.request(method, url, headers=BOGUS, content=data)
        return r.status_code, r.headers, r.content

    return call


def with_aiohttp():
    import aiohttp

    async def send(method, url, data):
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(trust_env=True, timeout=timeout) as session:
            async with session.request(method, url, headers=BOGUS, data=data) as r:
                return r.status, r.headers, await r.read()

    return lambda method, url, data=None: asyncio.run(send(method, url, data))


LIBRARIES = {
    "requests": with_requests,
    "httpx": with_httpx,
    "httpx-h2": lambda: with_httpx(http2=True),
    "aiohttp": with_aiohttp,
}


def main(library, mode, base):
    call = LIBRARIES[library]()

    def step(method, path, data=None):
        status, headers, body = call(method, base + path, data)
        print(status, dict(headers))
        if status != 200:
            sys.exit(f"{method} {path}: status {status}: {body!r}")
        return body

    print(step("GET", "/echo"))
    if mode == "all":
        with open("upload.bin", "rb") as f:
            print(step("POST", "/upload", f.read()))
        with open("download.bin", "wb") as f:
            f.write(step("GET", "/download"))


main(*sys.argv[1:])
