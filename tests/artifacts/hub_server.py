"""A small server that speaks as much of the Hugging Face hub's HTTP interface as reading a repository needs."""

import hashlib
import json
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = 1000
"""From so many bytes on a file is kept as a large one, known by its sha256."""


@dataclass
class Hub:
    """Repositories: commits of files, and branches that point at them."""

    url: str = ""
    commits: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    branches: dict[tuple[str, str], str] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    token: str = ""
    requests: list[str] = field(default_factory=list)
    broken: dict[str, int] = field(default_factory=dict)
    """Path of a file to the status that is answered for it; 0: its bytes come changed."""
    pause: float = 0.0
    """Seconds to wait after each 256 KiB that are sent."""

    def commit(self, repo: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Put a new state on a branch; its commit."""
        text = repr((repo, sorted((name, hashlib.sha256(data).hexdigest()) for name, data in files.items())))
        commit = hashlib.sha1(text.encode()).hexdigest()
        self.commits[repo, commit] = files
        self.branches[repo, branch] = commit
        return commit

    def find(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        commit = self.branches.get((repo, revision), revision)
        files = self.commits.get((repo, commit))
        return None if files is None else (commit, files)


def oids(data: bytes) -> tuple[str, str]:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(), hashlib.sha256(data).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        is_api = path.startswith("/api/")
        rest = path.removeprefix("/api/").removeprefix("/").removeprefix("datasets/").removeprefix("models/")
        repo, tail = "/".join(rest.split("/")[:2]), rest.split("/")[2:]
        if not any(known == repo for known, _ in self.hub.commits):
            return self.fail(401, "RepoNotFound", "Repository not found")
        if repo in self.hub.gated and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self.fail(403, "GatedRepo", "Access to this repository is restricted")
        revision = tail[1] if len(tail) > 1 else "main"
        found = self.hub.find(repo, revision)
        if found is None:
            return self.fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if not is_api:
            return self.send_file(*found, "/".join(tail[2:]))
        if "tree" in tail:
            return self.send_json([self.entry(name, data) for name, data in found[1].items()])
        return self.send_json({"id": repo, "sha": found[0], "siblings": []})

    def entry(self, name, data):
        blob, sha256 = oids(data)
        lfs = {"lfs": {"oid": sha256, "size": len(data), "pointerSize": 130}} if len(data) >= LARGE else {}
        return {"type": "file", "path": name, "oid": blob, "size": len(data), **lfs}

    def send_json(self, value):
        body = json.dumps(value).encode()
        self.send(200, body, {"Content-Type": "application/json"})

    def send_file(self, commit, files, name):
        if self.hub.broken.get(name):
            return self.fail(self.hub.broken[name], "", "broken")
        data = files[name]
        blob, sha256 = oids(data)
        etag = sha256 if len(data) >= LARGE else blob
        if name in self.hub.broken:
            data = data[::-1]
        return self.send(200, data, {"X-Repo-Commit": commit, "ETag": f'"{etag}"', "X-Linked-Etag": f'"{etag}"'})

    def fail(self, status, code, text):
        self.send(status, b"", {"X-Error-Code": code, "X-Error-Message": text})

    def send(self, status, body, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            with suppress(ConnectionError):
                for start in range(0, len(body), 1 << 18):
                    self.wfile.write(body[start : start + (1 << 18)])
                    time.sleep(self.hub.pause)


@contextmanager
def serving():
    """A hub of its own, on a free port of this machine."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
