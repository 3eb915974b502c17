# SPDX-License-Identifier: Apache-2.0
"""A hub's API as docs/design/api.md writes it, on a Unix socket in a directory that looks like a hub's, answering what a
test puts into it: for what a real hub does not do on demand (hostile text, endless lists, broken answers, slowness)."""
import http.server
import json
import os
import pathlib
import shutil
import socketserver
import tempfile
import threading
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        url = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        fake = self.server.fake
        fake.asked.append((self.command, url.path, query, json.loads(body) if body else None))
        answer = fake.answers.get((self.command, url.path))
        status, value = answer(query) if callable(answer) else answer or (404, {"title": "Not Found", "detail": "no such thing"})
        data = value if isinstance(value, bytes) else b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if status < 400 else "application/problem+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except BrokenPipeError:
            pass

    do_GET = do_POST = do_DELETE = handle_any

    def address_string(self):
        return "local"

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class FakeApi:
    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="fairlead-fake-"))
        (self.dir / "run").mkdir()
        (self.dir / "hub.conf").write_text("host localhost\nmqtt 1\nhttps 2\n")
        self.answers, self.asked = {}, []
        self.server = Server(str(self.dir / "run" / "hub.sock"), Handler)
        self.server.fake = self
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        os.unlink(self.dir / "run" / "hub.sock")

    def paged(self, path, rows, key, page):
        """Rows in pages, continued by after=, newest first when asked so (which cannot be continued)."""
        def answer(query):
            if "after" in query and query.get("order") == "desc":
                return 400, {"title": "Bad Request", "detail": "'after' goes on in the order of storing: not with order=desc"}
            list_ = list(reversed(rows)) if query.get("order") == "desc" else rows
            size = min(page, int(query.get("limit", page)))
            if query.get("after") not in (None, "", "0"):
                at = [str(row[key]) for row in list_].index(query["after"]) + 1
                list_ = list_[at:]
            return 200, list_[:size]
        self.answers["GET", path] = answer
