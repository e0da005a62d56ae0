"""The console's files: embedded, gzipped once, kept by browsers; the page for browsers, the list of paths for programs."""
import gzip
import http.client
from pathlib import Path

import pytest

pytestmark = [pytest.mark.managed, pytest.mark.sanitize]

WEB = Path(__file__).resolve().parents[2] / "web"


def get(proxy, path, headers=None, method="GET"):
    """(status, headers, bytes)"""
    connection = http.client.HTTPConnection(proxy.host, proxy.admin_port, timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_every_file_is_served_as_it_is(proxy):
    files = [p for p in sorted(WEB.rglob("*")) if p.suffix in (".html", ".css", ".js")]
    assert WEB / "index.html" in files
    for file in files:
        path = "/web/" + file.relative_to(WEB).as_posix()
        status, headers, body = get(proxy, path)
        assert (status, body) == (200, file.read_bytes()), path
        assert headers["Content-Type"].startswith({".html": "text/html", ".css": "text/css", ".js": "text/javascript"}[file.suffix])
        assert headers["Content-Encoding"] is None and headers["Cache-Control"] == "no-cache"
        status, headers, packed = get(proxy, path, {"Accept-Encoding": "deflate, gzip;q=0.8"})
        assert headers["Content-Encoding"] == "gzip" and gzip.decompress(packed) == body
        assert get(proxy, path, {"Accept-Encoding": "gzip;q=0, br"})[2] == body


def test_a_file_that_has_not_changed_is_not_sent_again(proxy):
    first = get(proxy, "/web/index.html", {"Accept-Encoding": "gzip"})
    again = get(proxy, "/web/index.html", {"Accept-Encoding": "gzip", "If-None-Match": first[1]["ETag"]})
    assert (again[0], again[2]) == (304, b"") and again[1]["ETag"] == first[1]["ETag"]
    assert get(proxy, "/web/index.html", {"If-None-Match": first[1]["ETag"]})[0] == 200, "the plain one has a tag of its own"
    assert get(proxy, "/web/index.html", {"If-None-Match": '"old"'})[0] == 200


def test_a_browser_gets_the_page_and_a_program_the_list(proxy):
    status, headers, body = get(proxy, "/", {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert status == 200 and body == (WEB / "index.html").read_bytes()
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
    assert get(proxy, "/", {"Accept": "text/html"}, method="HEAD")[2] == b""
    for path, accept in (("/", "*/*"), ("/api", "text/html")):
        status, headers, body = get(proxy, path, {"Accept": accept})
        assert status == 200 and headers["Content-Type"].startswith("text/plain") and b"/api/v1/state" in body, path


def test_nothing_else_can_be_had(proxy):
    for path in ("/web/", "/web/none.js", "/web/..%2fmeson.build", "/web/../meson.build", "/web/vendor/", "/web/vendor/none.js", "/web/vendor/" + "x" * 300, "/web/README.md"):
        assert get(proxy, path)[0] == 404, path
