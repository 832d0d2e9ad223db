"""The part of the Hugging Face Hub's API that exchanging a selector needs, on 127.0.0.1 and in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

Files = dict[str, bytes]


@dataclass
class Hub:
    """Repositories as lists of commits, and what was asked of the server."""

    address: str = ""
    commits: dict[str, Files] = field(default_factory=dict)
    """Commit id -> the whole content."""
    branches: dict[tuple[str, str], str] = field(default_factory=dict)
    """(repository, branch) -> commit id."""
    made: list[dict[str, Any]] = field(default_factory=list)
    """What repositories were made with."""
    tokens: set[str] = field(default_factory=set)
    messages: list[str] = field(default_factory=list)

    def files(self, repo: str, revision: str = "main") -> Files:
        return self.commits[self.branches.get((repo, revision), revision)]

    def commit(self, repo: str, branch: str, files: Files) -> str:
        content = json.dumps({name: hashlib.sha256(data).hexdigest() for name, data in files.items()}, sort_keys=True)
        name = hashlib.sha1(f"{repo} {len(self.commits)} {content}".encode()).hexdigest()
        self.commits[name] = files
        self.branches[repo, branch] = name
        return name


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: object) -> None:
        pass

    def _answer(self, value: object = None, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_POST(self) -> None:
        self.hub.tokens.add(self.headers.get("Authorization", ""))
        body, path = self._body(), unquote(self.path.split("?")[0])
        if path == "/api/repos/create":
            told = json.loads(body)
            repo = f"{told.get('organization') or 'me'}/{told['name']}"
            if any((repo, "main") == key for key in self.hub.branches):
                return self._answer({"error": "exists", "url": f"{self.hub.address}/{repo}"}, 409)
            self.hub.made.append(told)
            self.hub.commit(repo, "main", {".gitattributes": b""})
            return self._answer({"url": f"{self.hub.address}/{repo}"})
        if path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        _, _, _, owner, name, action, revision = path.split("/", 6)
        repo = f"{owner}/{name}"
        if action == "branch":
            self.hub.branches.setdefault((repo, revision), self.hub.branches[repo, "main"])
            return self._answer({})
        if action == "preupload":
            files = [{**one, "uploadMode": "regular", "shouldIgnore": False} for one in json.loads(body)["files"]]
            return self._answer({"files": files})
        assert action == "commit", path
        files = dict(self.hub.files(repo, revision))
        for line in body.splitlines():
            told = json.loads(line)
            key, value = told["key"], told["value"]
            if key == "header":
                self.hub.messages.append(value["summary"])
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert key == "deletedFile", key
                files.pop(value["path"])
        made = self.hub.commit(repo, revision, files)
        url = f"{self.hub.address}/{repo}/commit/{made}"
        return self._answer({"success": True, "commitOid": made, "commitUrl": url})

    def do_GET(self) -> None:
        self.hub.tokens.add(self.headers.get("Authorization", ""))
        path = unquote(self.path.split("?")[0])
        if path.startswith("/api/models/"):
            _, _, _, owner, name, *rest = path.split("/", 6)
            action, revision = rest if len(rest) == 2 else ("revision", "main")
            commit = self.hub.branches.get((f"{owner}/{name}", revision), revision)
            if commit not in self.hub.commits:
                return self._answer({"error": "none"}, 404, {"X-Error-Code": "RepoNotFound"})
            files = self.hub.commits[commit]
            if action == "tree":
                return self._answer([_entry(name, data) for name, data in sorted(files.items())])
            siblings = [{"rfilename": name} for name in files]
            return self._answer({"id": f"{owner}/{name}", "sha": commit, "siblings": siblings})
        if path.count("/") < 5:
            return self._answer({"error": "no such page"}, 404)
        _, owner, name, _, revision, file = path.split("/", 5)
        commit = self.hub.branches.get((f"{owner}/{name}", revision), revision)
        data = self.hub.commits[commit][file]
        return self._answer(data, headers={"ETag": f'"{_oid(data)}"', "X-Repo-Commit": commit})

    do_HEAD = do_GET


def _entry(name: str, data: bytes) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": len(data), "oid": _oid(data)}


def _oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that answers until the end of the block."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
