"""Messages that are none are counted, logged and thrown away; workers outlive them.

Whoever reaches the broker can put anything into a queue: bytes that are no JSON, JSON that is no
object, a task with other arguments. Celery ends on some of them, and its supervisor would give up
on a worker that ends again and again. Nothing but JSON is decoded: `accept_content` refuses pickle.

`celery_settings.use_tolerant_transports` brings these transports into force; what they deliver goes
to `curate.worker.consumer`.
"""

from __future__ import annotations

import itertools
import logging
from queue import Empty
from typing import Any

from kombu.transport import filesystem, redis
from redis.exceptions import ConnectionError as RedisConnectionError

log = logging.getLogger(__name__)

_numbers = itertools.count(1)


def throw_away(why: object, message: object) -> None:
    """Log a message that is thrown away, with how many were."""
    text = "message thrown away (the %s. of this worker): %s: %.200r"
    log.warning(text, next(_numbers), why, message)


def _fault(message: Any) -> str:
    """Why what a queue held is no message; empty if it may be one."""
    if not isinstance(message, dict):
        return f"a JSON object is expected, not {type(message).__name__}"
    properties = message.get("properties")
    if not isinstance(properties, dict) or not isinstance(properties.get("delivery_tag"), str):
        return "it has no delivery tag"
    delivery = properties.get("delivery_info")
    texts = [message.get(name) for name in ("body", "content-type", "content-encoding")]
    if not isinstance(message.get("headers"), dict | None):
        return "its headers are no object"
    # kombu takes the KeyError of one that is missing for a lost connection
    if not isinstance(delivery, dict) or not {"exchange", "routing_key"} <= delivery.keys():
        return "its delivery_info names no exchange and routing key"
    if not all(isinstance(value, str | None) for value in texts):
        return "its body or content type is no text"
    if properties.get("body_encoding") not in (None, "base64"):
        return "the encoding of its body is unknown"
    return ""


class _Tolerant:
    """A virtual transport that delivers only what may be a message."""

    def _deliver(self, message: Any, queue: str) -> None:
        if why := _fault(message):
            throw_away(why, message)
            return
        try:
            super()._deliver(message, queue)  # type: ignore[misc]
        except ValueError as error:  # of base64, or half a character
            throw_away(error, message)


class _RedisChannel(redis.Channel):
    # a message that a worker has taken and not done is lost with it, and sent again by the
    # dispatcher; to put it back would need the connection that may just have broken
    do_restore = False
    _sender: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        # kombu makes a client for every command, which costs as much as five commands
        if asynchronous:
            return super()._create_client(asynchronous)
        if self._sender is None or self._sender.connection_pool is not self.pool:
            self._sender = super()._create_client()
        return self._sender

    def _connparams(self, asynchronous: bool = False) -> Any:
        # Celery closes a broken connection once more after it has taken its client away, and
        # would end on anything but an error of the connection
        if self.connection.client is None:
            raise RedisConnectionError("the connection was given up")
        return super()._connparams(asynchronous)

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except (Empty, *self.connection_errors, *self.connection.channel_errors):
            raise
        except Exception as error:  # noqa: BLE001  whatever reading JSON may raise
            throw_away(error, "no JSON")
            raise Empty from None


class RedisTransport(_Tolerant, redis.Transport):
    """Redis, from which anything may come."""

    Channel = _RedisChannel


class _FileChannel(filesystem.Channel):
    def _get(self, queue: str, timeout: float | None = None) -> Any:
        while True:
            try:
                return super()._get(queue)
            except (Empty, OSError, *self.connection.channel_errors):
                raise
            except Exception as error:  # noqa: BLE001  whatever reading JSON may raise
                throw_away(error, "no JSON")


class FileTransport(_Tolerant, filesystem.Transport):
    """A folder, in which anything may lie."""

    Channel = _FileChannel
