"""A server on loopback with the API of OpenAI, which fails as real ones do, by plan; and what to ask it."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from shotsmith.recipe import VLMSettings
from shotsmith.records import Completion, Example, Request
from shotsmith.vlms.load import load_vlm

FAULTS = (
    *("408", "429", "500", "502", "503", "504", "late", "reset", "cut short", "dripping"),
    *("broken JSON", "empty", "a page", "no choices", "no text"),
)
BROKEN = {"broken JSON": '{"choices": [{"mess', "empty": "", "a page": "<html>Bad gateway</html>"}
SLOW = ("late", "dripping")


class Stub(ThreadingHTTPServer):
    """Answers with the last question turned round; fails by plan, and counts."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.fault = lambda body: None
        """What goes wrong with a request: a name of FAULTS, a status, a reply of its own (JSON or bytes), or None."""
        self.words = lambda handler: ""
        """What an error says beyond its number."""
        self.model = {"id": "tiny", "object": "model", "created": 1, "owned_by": "us", "root": "org/tiny"}
        self.listed = None
        """What stands in the list of models, where it is not just the model."""
        self.unlisted = "folder"
        self.key = None
        self.headers = {}
        self.asked_at = []
        self.lock = threading.Lock()
        self.bodies, self.answered, self.failed = [], Counter(), Counter()
        self.busy = self.most_busy = 0
        self.pause = 0.0
        self.late = 1.5

    def handle_error(self, request, client_address):
        """A client that hangs up is what is tested."""


class Handler(BaseHTTPRequestHandler):
    server: Stub

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.server.key and self.headers["Authorization"] != f"Bearer {self.server.key}":
            return self.send(401, {"error": {"message": "no such key"}})
        listed = self.server.listed
        if listed is None:
            listed = [self.server.model] if self.server.model else []
        return self.send(200, {"object": "list", "data": listed})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body["model"] not in (self.server.model["id"], self.server.unlisted):
            return self.send(404, {"error": {"message": f"no {body['model']} here"}})
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.asked_at.append(time.monotonic())
            self.server.busy += 1
            self.server.most_busy = max(self.server.busy, self.server.most_busy)
            fault = self.server.fault(body)
            self.server.failed[str(fault)[:200] if isinstance(fault, dict | bytes) else fault] += 1
        time.sleep(self.server.late if fault == "late" else self.server.pause)
        # A client may ask again the moment it has read its answer: the request is over before that is written.
        with self.server.lock:
            self.server.busy -= 1
        return self.reply(body, fault)

    def reply(self, body, fault):
        if fault is None:
            reply = completion(answer_to(body))
            if "prompt_logprobs" in body:
                reply["prompt_logprobs"] = prompt_log_probs(body["messages"][-1]["content"])
            with self.server.lock:
                self.server.answered[json.dumps(body["messages"])] += 1
            self.send(200, reply)
        elif isinstance(fault, dict | bytes):
            self.send(200, fault)
        elif fault.isdecimal():
            self.send(int(fault), {"error": {"message": f"made up {fault}{self.server.words(self)}"}})
        elif fault == "late":
            return
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault == "cut short":
            self.send(200, '{"choices": [{"mess', length=1000)
            self.close_connection = True
        elif fault == "dripping":
            self.send(200, "{", length=1000)
            self.drip()
        elif fault in BROKEN:
            self.send(200, BROKEN[fault], "text/html" if fault == "a page" else "application/json")
        else:
            self.send(200, completion(None) | ({"choices": []} if fault == "no choices" else {}))

    def drip(self):
        """Something arrives all the time, and never all of it: only a deadline ends that."""
        for _ in range(int(self.server.late / 0.05)):
            time.sleep(0.05)
            self.wfile.write(b" ")

    def send(self, status, value, kind="application/json", length=None):
        content = (
            value if isinstance(value, bytes) else (value if isinstance(value, str) else json.dumps(value)).encode()
        )
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length or len(content)))
        for name, told in self.server.headers.items():
            self.send_header(name, told)
        self.end_headers()
        self.wfile.write(content)


def completion(text, reason="stop", **message):
    """A reply of the chat API; what is given beside the text goes into its message."""
    choices = [{"index": 0, "finish_reason": reason, "message": said(text) | message}]
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "tiny", "choices": choices}


def said(text):
    return {"role": "assistant", "content": text}


def answer_to(body):
    content = body["messages"][0]["content"]
    return f" {reversed_question(content if isinstance(content, str) else content[-1]['text'])}.\nQuestion: more"


def reversed_question(text):
    return " ".join(reversed(text.removeprefix("Question: ").removesuffix("? Short answer:").split()))


def prompt_log_probs(answer):
    """As vLLM gives them: nothing for the first token, then a mapping for each; words are tokens."""
    words = ["assistant", "\n", *(word if not n else f" {word}" for n, word in enumerate(answer.split()))]
    return [None, *({str(n): {"logprob": -1.5, "rank": 1, "decoded_token": word}} for n, word in enumerate(words))]


def load(stub, **server):
    return load_vlm(VLMSettings(server={"url": stub.url, "timeout_seconds": 10.0, "retries": 12} | server))


def asked(examples, count):
    """Prompts that all differ."""
    return [
        Request(Example(n, example.images, n, f"what is number {n}?", ("red",)), (examples[n % 5],) * (n % 3))
        for n, example in ((n, examples[n % len(examples)]) for n in range(count))
    ]


def right(request):
    return Completion(reversed_question(f"Question: {request.query.question} Short answer:"), {})
