"""A server that speaks OpenAI's protocol on loopback, and misbehaves on request."""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

STEP = 20  # gray levels between the pictures of two clips
KEY = "sk-very-secret-key-0123456789"


def good(text: Any = "A dog runs.", **choice: Any) -> dict[str, Any]:
    """The answer that the protocol wants."""
    message = {"role": "assistant", "content": text} | choice.pop("message", {})
    return {
        "choices": [{"index": 0, "finish_reason": "stop", "message": message} | choice],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 20},
        "system_fingerprint": "fp_1",
    }


@dataclass
class CaptionServer:
    """What it shall do, and what it saw. `deeds` are done one after the other for each clip; the
    last one stays.
    """

    url: str = ""
    deeds: dict[int, Sequence[str]] = field(default_factory=dict)  # by clip, else `usual`
    usual: Sequence[str] = ("good",)
    seconds: float = 0  # that a good answer takes
    answers: threading.Event = field(default_factory=threading.Event)  # good ones wait while clear
    asked: Counter[int] = field(default_factory=Counter)  # requests by clip
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    most: int = 0  # requests at a time
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.answers.set()

    def come(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, str]:
        """Note a request; returns its clip and what to do."""
        clip = clip_of(body)
        with self._lock:
            self.bodies.append(body)
            self.headers.append(headers)
            self.times.append(time.monotonic())
            self.asked[clip] += 1
            self._now += 1
            self.most = max(self.most, self._now)
            deeds = self.deeds.get(clip, self.usual)
            return clip, deeds[min(self.asked[clip], len(deeds)) - 1]

    def leave(self) -> None:
        """A request is through."""
        with self._lock:
            self._now -= 1


def clip_of(body: dict[str, Any]) -> int:
    """The clip whose picture is in a request: its gray level / STEP. Without a picture, the first
    that its text names, as in "Clip 3 runs"; else -1.
    """
    import cv2

    turns = [turn["content"] for turn in body["messages"] if isinstance(turn["content"], list)]
    for part in [part for parts in turns for part in parts]:
        if part["type"] == "image_url":
            jpeg = base64.b64decode(part["image_url"]["url"].partition(",")[2])
            return round(
                float(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).mean()) / STEP
            )
    named = re.search(r"Clip (\d+) runs", json.dumps(body["messages"]))
    return int(named[1]) if named else -1


def in_fields(clip: int, body: dict[str, Any], fault: str = "") -> str:
    """What a model writes that was asked for fields, by the names in its prompt, with a fault."""
    names = re.findall(r"(?m)^- (\w+): ", json.dumps(body["messages"]).replace("\\n", "\n"))
    right: dict[str, Any] = {name: f"The {name} of clip {clip}." for name in names}
    last, text = names[-1], json.dumps(right)
    answers = {
        "": text,
        "fenced": f"```json\n{text}\n```",
        "wordy": f"Here {{as you asked}} it is:\n{text}\nI hope that helps.",
        "more": json.dumps(right | {"mood": "none"}),
        "missing": json.dumps({name: right[name] for name in names[:-1]}),
        "empty": json.dumps(right | {last: " \n"}),
        "list": json.dumps(right | {last: ["a", "b"]}),
        "number": json.dumps(right | {last: 5}),
        "broken": text[: len(text) // 2],
        "python": repr(right),
        "prose": "I cannot describe this, as an AI.",
    }
    return answers[fault]


def rewritten(clip: int, body: dict[str, Any], kind: str = "") -> str:
    """What a model writes that was asked for texts by the names in its prompt, of a kind."""
    names = re.findall(r"(?m)^- (\w+): ", body["messages"][0]["content"])
    texts = {
        "": f"Clip {clip} runs.",
        "adding": f"Clip {clip} runs with 7 dogs.",
        "long": f"Clip {clip} runs{' and runs' * 300}.",
        "brief": "Runs.",
        "leaking": body["messages"][0]["content"][:120],
        "refusing": "I'm sorry, but I cannot describe this clip.",
    }
    return json.dumps(dict.fromkeys(names, texts[kind]))


SEEN = {
    "subject": "A shape of level {} stands out.",
    "action": "It drifts from one side to the other and stops there.",
    "background": "Behind it lies open ground with a few trees.",
    "camera": "A wide shot, and nothing moves the lens.",
    "light": "Soft daylight comes from above.",
    "style": "Plain documentary footage.",
    "short": "Something of level {} crosses open ground by day.",
    "dense": "Level {} fills most of the frame while slow movement goes on near its middle, where "
    "two tones meet; further away, grass and bark catch what little sun there is.",
}


def as_asked(clip: int, body: dict[str, Any]) -> str:
    """What a model writes that does as it is told: of pictures a sentence a field, of notes texts
    that are made of them.
    """
    if isinstance(body["messages"][-1]["content"], list):
        return json.dumps({name: told.format(clip) for name, told in SEEN.items()})
    names = re.findall(r"(?m)^- (\w+): ", body["messages"][0]["content"])
    notes = [line.partition(": ")[2] for line in body["messages"][1]["content"].splitlines()]
    texts = [notes[0].partition(";")[0], " ".join(notes[:6])]
    return json.dumps({n: f"{t.rstrip('.')}." for n, t in zip(names, texts, strict=False)})


@contextmanager
def caption_server(port: int = 0) -> Iterator[CaptionServer]:
    """A server on a port of loopback, 0: a free one; ended at the end of the with block."""
    state = CaptionServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            clip, deed = state.come(body, dict(self.headers))
            self.body = body
            try:
                getattr(self, f"do_{deed.partition(' ')[0]}")(clip, *deed.split()[1:])
            except (BrokenPipeError, ConnectionResetError):  # a client that waited no longer
                self.close_connection = True
            finally:
                state.leave()

        def send(self, status: int, content: Any, **headers: str) -> None:
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(raw)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(raw)

        def do_good(self, clip: int) -> None:
            state.answers.wait(60)
            time.sleep(state.seconds)
            self.send(200, good(f"Clip {clip} runs."))

        def do_fields(self, clip: int, fault: str = "") -> None:
            self.send(200, good(in_fields(clip, self.body, fault)))

        def do_as_asked(self, clip: int) -> None:
            self.send(200, good(as_asked(clip, self.body)))

        def do_rewrites(self, clip: int, kind: str = "") -> None:
            state.answers.wait(60)
            time.sleep(state.seconds)
            self.send(200, good(rewritten(clip, self.body, kind)))

        def do_formatless(self, clip: int, fault: str = "") -> None:
            if "response_format" in self.body:
                self.send(400, {"error": {"message": "response_format is not supported"}})
            else:
                self.do_fields(clip, fault)

        def do_trickle(self, clip: int) -> None:
            raw = json.dumps(good(in_fields(clip, self.body))).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            for at in range(0, len(raw), 100):
                self.wfile.write(raw[at : at + 100])
                self.wfile.flush()
                time.sleep(0.01)

        def do_last(self, clip: int) -> None:
            self.server.socket.close()  # nobody gets in after this one
            self.do_good(clip)

        def do_status(self, clip: int, status: str, after: str = "") -> None:
            key = self.headers.get("Authorization", "")
            error = {"error": {"message": f"no such luck for {key}"}}
            self.send(
                int(status), error, **({"Retry_After": after.replace("_", " ")} if after else {})
            )

        def do_said(self, clip: int, status: str, message: str) -> None:
            self.send(int(status), {"error": {"message": message}})

        def do_redirect(self, clip: int) -> None:
            self.send(307, b"", Location=f"{state.url}/elsewhere")

        def do_json(self, clip: int) -> None:
            self.send(200, b"{it is not")

        def do_strange(self, clip: int) -> None:
            self.send(200, {"choices": [{"message": {"content": 5}}]})

        def do_list(self, clip: int) -> None:
            self.send(200, ["no", "object"])

        def do_parts(self, clip: int) -> None:
            self.send(
                200, good([{"type": "text", "text": "In "}, {"type": "text", "text": "parts."}])
            )

        def do_none(self, clip: int) -> None:
            self.send(200, good() | {"choices": []})

        def do_blank(self, clip: int) -> None:
            self.send(200, good(" \n"))

        def do_null(self, clip: int) -> None:
            self.send(200, good(None, finish_reason="length"))

        def do_refusal(self, clip: int, why: str = "I cannot describe this.") -> None:
            self.send(200, good(None, message={"refusal": why}))

        def do_reason(self, clip: int, why: str) -> None:
            self.send(200, good("", finish_reason=why))

        def do_usage(self, clip: int, usage: str) -> None:
            before, after = json.dumps(good("A dog runs.") | {"usage": "HERE"}).split('"HERE"')
            self.send(200, f"{before}{usage}{after}".encode())

        def do_filtered(self, clip: int) -> None:
            self.send(200, good("", finish_reason="content_filter"))

        def do_slow(self, clip: int, seconds: str) -> None:
            time.sleep(float(seconds))
            self.send(200, good())

        def do_drip(self, clip: int) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(1000):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.02)

        def do_dribble(self, clip: int, status: str) -> None:
            for byte in f"HTTP/1.1 {status} Well\r\nX-Pad: {'x' * 60000}".encode():
                self.wfile.write(bytes([byte]))
                time.sleep(0.02)

        def do_continue(self, clip: int) -> None:
            while True:
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                time.sleep(0.02)

        def do_cut(self, clip: int) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"choices": [')
            self._reset()

        def do_reset(self, clip: int) -> None:
            self._reset()

        def do_junk(self, clip: int) -> None:
            key = self.headers.get("Authorization", "")
            self.wfile.write(f"junk for {key} {'x' * 60000}\r\n\r\n".encode())
            self.close_connection = True

        def do_huge(self, clip: int) -> None:
            self.send(200, b" " * (9 << 20))

        def _reset(self) -> None:
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                return

        def log_message(self, *_: Any) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: Any) -> None:
            return

    with Server(("127.0.0.1", port), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
