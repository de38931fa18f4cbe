"""Repositories over HTTP: git's own http-backend behind a small server that counts, delays and wants passwords."""

import base64
import contextlib
import os
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

EXEC_PATH = subprocess.run(["git", "--exec-path"], capture_output=True, text=True).stdout.strip()


def credentials(headers):
    """User and password of a request; both are empty where it has none."""
    given = base64.b64decode(headers.get("Authorization", "").partition(" ")[2]).decode()
    user, _, password = given.partition(":")
    return user, password


class Site:
    """Bare repositories below a folder, at ``url``."""

    def __init__(self, folder, url):
        self.folder, self.url = folder, url
        self.password = None  # what user "reader" has to say
        self.down = False
        self.delay = 0.0
        self.asked = []  # (method, path, Git command) of each request that was let in
        self.bytes = 0  # of the answers
        self.headers = []  # of each request

    def refusal(self, headers, path):
        """What a request gets that is not let in: status, headers and body."""
        if self.down:
            return 503, [], b"down"
        if self.password and credentials(headers)[1] != self.password:
            return 401, [("WWW-Authenticate", 'Basic realm="git"')], b""
        return None

    def fetches(self):
        """The requests that asked for objects."""
        return [path for method, path, command in self.asked if command == "fetch"]


def _handler(site):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            site.headers.append(self.headers)
            time.sleep(site.delay)
            url = urlsplit(self.path)
            refusal = site.refusal(self.headers, url.path)
            if refusal:
                return self.send(*refusal)
            command = "fetch" if b"command=fetch" in body or b"want " in body else "refs"
            site.asked.append((self.command, url.path, command))
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(site.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "PATH_INFO": url.path,
                "QUERY_STRING": url.query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "REMOTE_ADDR": "127.0.0.1",
            }
            done = subprocess.run(
                [f"{EXEC_PATH}/git-http-backend"], env=environment, input=body, capture_output=True
            )
            head, _, answer = done.stdout.partition(b"\r\n\r\n")
            fields = [line.partition(": ") for line in head.decode().split("\r\n") if line]
            status = next((int(value[:3]) for name, _, value in fields if name == "Status"), 200)
            return self.send(status, [(name, value) for name, _, value in fields if name != "Status"], answer)

        do_GET = do_POST = answer

        def send(self, status, headers, body):
            site.bytes += len(body)
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    return Handler


@contextlib.contextmanager
def serving(folder, make=Site):
    """A ``Site`` of the bare repositories below ``folder``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.daemon_threads = True
    site = make(folder, f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = _handler(site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def redirecting(target):
    """A server that sends every request to ``target``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(302)
            self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
