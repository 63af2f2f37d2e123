"""A real server on loopback that speaks the chat and batch protocols, and fails as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-secret-0123456789"

Fault = Callable[[str, int], str | None]
"""From a query and how often it was asked before to the fault that is shown, or None for an answer."""


class ChatServer:
    """The server; `asked` counts completions asked by (system prompt, query), `answered` those sent whole."""

    def __init__(self) -> None:
        self.fault: Fault = lambda query, before: None
        self.reply: Callable[[str, str], str] = lambda system, query: (
            f"{system[:20]} would say of {query[-12:]} that there is much to like about it and little to fear"
        )
        self.asked: Counter[tuple[str, str]] = Counter()
        self.answered: Counter[tuple[str, str]] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.models = ["tiny-model"]
        self.delay = 0.0
        self.files: dict[str, str] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.polls_until_done = 2
        self.lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """A completion as the protocol has it."""
        system, query = parts_of(body)
        text = self.reply(system, query)
        return {
            "id": "c1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": len(text.split()), "total_tokens": 0},
        }


def parts_of(body: dict[str, Any]) -> tuple[str, str]:
    """System prompt and query of a request."""
    system = next((m["content"] for m in body["messages"] if m["role"] == "system"), "")
    return system, body["messages"][-1]["content"]


def _handler(server: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one segment a reply: or each waits for a delayed acknowledgement
        disable_nagle_algorithm = True

        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path.removeprefix("/v1")
            if path == "/models":
                if self.headers.get("authorization") == "Bearer wrong":
                    return self._error(401, f"Incorrect API key provided: {KEY}")
                self._json({"object": "list", "data": [{"id": m, "object": "model"} for m in server.models]})
            elif path.startswith("/files/"):
                self._send(200, server.files[path.split("/")[2]].encode(), "application/jsonl")
            elif path.startswith("/batches/"):
                batch = server.batches[path.split("/")[2]]
                batch["polls"] += 1
                done = batch["polls"] > server.polls_until_done
                state = (
                    {"status": "completed", "output_file_id": batch["output"]} if done else {"status": "in_progress"}
                )
                self._json({"id": path.split("/")[2], "object": "batch", **state})

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            path = self.path.removeprefix("/v1")
            if path == "/files":
                start = raw.index(b'{"custom_id"')
                name = f"file{len(server.files)}"
                server.files[name] = raw[start : raw.index(b"\r\n--", start)].decode()
                self._json({"id": name, "object": "file"})
            elif path == "/batches":
                self._json({"id": _take_batch(server, json.loads(raw)["input_file_id"]), "object": "batch"})
            else:
                self._chat(json.loads(raw))

        def _chat(self, body: dict[str, Any]) -> None:
            key = parts_of(body)
            with server.lock:
                server.bodies.append(body)
                before = server.asked[key]
                server.asked[key] += 1
            fault = server.fault(key[1], before)
            if server.delay:
                time.sleep(server.delay)
            if fault is None:
                self._json(server.complete(body))
                with server.lock:
                    server.answered[key] += 1
            elif fault == "torn":
                whole = json.dumps(server.complete(body)).encode()
                self._send(200, whole[: len(whole) // 2], "application/json", claimed=len(whole))
                self.close_connection = True
            elif fault == "nonsense":
                self._send(200, b"<html>proxy says hello</html>", "application/json")
            elif fault == "no choices":
                self._json({"id": "c1", "object": "chat.completion", "choices": []})
            elif fault == "reset":
                self.close_connection = True
            elif fault == "hang":
                time.sleep(1.5)
                self.close_connection = True
            elif fault == "429":
                self._error(429, "slow down", {"Retry-After": "0.05"})
            else:
                self._error(int(fault), f"fault {fault} with key {KEY}")

        def _error(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
            self._send(status, json.dumps({"error": {"message": message}}).encode(), "application/json", headers)

        def _json(self, value: object) -> None:
            self._send(200, json.dumps(value).encode(), "application/json")

        def _send(
            self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None, claimed: int | None = None
        ) -> None:
            try:
                self.send_response(status)
                for name, value in {"content-type": kind, **(headers or {})}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body) if claimed is None else claimed))
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()
            except OSError:  # the client was killed
                self.close_connection = True

    return Handler


def _take_batch(server: ChatServer, file: str) -> str:
    """Answers all requests of a batch, but those that the fault names."""
    lines = []
    for line in server.files[file].splitlines():
        row = json.loads(line)
        key = parts_of(row["body"])
        before = server.asked[key]
        server.asked[key] += 1
        if server.fault(key[1], before) is not None:
            reply = {"status_code": 500, "body": {"error": {"message": "no"}}}
        else:
            reply = {"status_code": 200, "body": server.complete(row["body"])}
        lines.append(json.dumps({"custom_id": row["custom_id"], "response": reply, "error": None}))
    name = f"batch{len(server.batches)}"
    server.files[f"{name}-out"] = "\n".join(lines)
    server.batches[name] = {"polls": 0, "output": f"{name}-out"}
    return name
