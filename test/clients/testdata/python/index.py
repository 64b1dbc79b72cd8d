"""index.py MODE BASE: pip with an index at BASE/simple, see ../../upstream_pip_test.go.

pip has no option that shows headers: the debug level of the standard library,
which is below pip's own copy of requests, prints them.
"""

import http.client
import runpy
import sys
import urllib.parse

_, mode, base = sys.argv
place = urllib.parse.urlsplit(base)
base = place._replace(netloc="somebody:bogus-of-the-client@" + place.netloc).geturl()

index = ["--index-url", base + "/simple/"]
download = ["download", "--no-deps"]
modes = {
    "get": ["index", "versions", *index, "small"],
    "all": [*download, *index, "small"],
    "large-download": [*download, *index, "large"],
    "redirect": [*download, *index, "moved"],
    "gzip": [*download, "--no-index", "--find-links", base + "/gzip", "small"],
}
if mode not in modes:
    print("no such mode", file=sys.stderr)
    sys.exit(64)

http.client.HTTPConnection.debuglevel = 1
sys.argv = ["pip", *modes[mode], "--disable-pip-version-check", "--no-input", "--retries=0"]
if place.scheme == "http":
    sys.argv += ["--trusted-host", place.hostname]
runpy.run_module("pip", run_name="__main__")
