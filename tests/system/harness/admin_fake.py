"""What answers where convctl looks for the admin server: documents as a test wants them, in turn."""
import json
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    def answer(self):
        fake = self.server.fake
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, doc = fake.next(f"{self.command} {self.path}")
        body = doc if isinstance(doc, bytes) else json.dumps(doc).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *args):
        pass


class AdminFake:
    """with AdminFake({"GET /api/v1/state": [(200, {…}), (401, {…})]}) as fake: the last answer stays. What is not named is refused as without a token."""

    host = "127.0.0.1"
    REFUSED = (401, {"error": "this call needs the header Authorization"})

    def __init__(self, answers=()):
        self.answers = defaultdict(lambda: [self.REFUSED], {call: list(row) for call, row in dict(answers).items()})
        self.asked = []

    def next(self, call):
        self.asked.append(call)
        row = self.answers[call]
        return row.pop(0) if len(row) > 1 else row[0]

    def admin_url(self, path):
        return f"http://{self.host}:{self.server.server_port}{path}"

    def environment(self):
        return {}

    def __enter__(self):
        self.server = ThreadingHTTPServer((self.host, 0), _Handler)
        self.server.daemon_threads = True
        self.server.fake = self
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *problem):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
