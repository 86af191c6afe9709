"""Celery's settings. The database is in charge of retries; the broker only carries messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kombu.entity import Exchange, Queue
from kombu.transport import TRANSPORT_ALIASES

from curate.configs.schema import QUEUES
from curate.configs.settings import Settings
from curate.worker.broker import broker_url


def celery_settings(settings: Settings) -> dict[str, Any]:
    """The settings of the Celery app."""
    url = broker_url(settings)
    # a quorum queue survives the loss of a RabbitMQ node
    arguments = {"x-queue-type": "quorum"} if is_rabbitmq(url) else {}
    return {
        "broker_url": url,
        "broker_transport_options": transport_options(url, settings.folder),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # the default gives up after 100
        "task_queues": [
            Queue(name, Exchange(name), routing_key=name, durable=True, queue_arguments=arguments)
            for name in QUEUES
        ],
        "task_default_queue": "cpu",
        # a misspelt queue is an error, not a new queue that no worker serves
        "task_create_missing_queues": False,
        "task_ignore_result": True,  # scores live in the database
        "result_backend": None,
        "accept_content": ["json"],
        "worker_consumer": "curate.worker.consumer:Consumer",
        "task_serializer": "json",
        "task_acks_late": True,
        "worker_prefetch_multiplier": 1,
        "task_reject_on_worker_lost": False,  # True loops for ever on a row that kills its worker
        "task_acks_on_failure": True,
        "task_acks_on_timeout": True,
        # a batch may finish: its lease protects it
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": 30.0,
        "worker_enable_soft_shutdown_on_idle": False,
        # a busy host takes longer than the default of 4 s to start a process
        "worker_proc_alive_timeout": 60.0,
        "worker_hijack_root_logger": False,
        "worker_send_task_events": True,  # for Flower: `consumer` stops them when nobody asks
        # only this event names the queue that a message was sent to; it costs 0.2 ms a message
        "task_send_sent_event": True,
    }


def use_tolerant_transports() -> None:
    """Let kombu read Redis and the file system by the transports of `odd_messages`."""
    ours = "curate.worker.odd_messages"
    TRANSPORT_ALIASES.update(
        redis=f"{ours}:RedisTransport",
        rediss=f"{ours}:RedisTransport",
        filesystem=f"{ours}:FileTransport",
    )


def is_rabbitmq(url: str) -> bool:
    """Whether the broker at the URL is RabbitMQ."""
    return url.startswith(("amqp", "pyamqp"))


def transport_options(url: str, folder: Path) -> dict[str, Any]:
    """Options of the broker's transport."""
    if url.startswith("filesystem"):
        queue = folder / "broker" / "queue"
        control = folder / "broker" / "control"
        for path in (queue, control):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return {
            "data_folder_in": str(queue), "data_folder_out": str(queue),
            "control_folder": str(control), "polling_interval": 0.1,
        }  # fmt: skip
    if is_rabbitmq(url):
        return {"confirm_publish": True}  # otherwise count_waiting misses a message just sent
    if not url.startswith("redis"):
        return {}
    return {
        # kombu would note each message that is taken in Redis, and strike it out when it is done:
        # a third of what a message costs, for nothing, since the dispatcher sends lost ones again
        "ack_emulation": False,
        "socket_keepalive": not url.startswith("redis+socket"),
        "socket_connect_timeout": 5,
        "socket_timeout": 60,
        "health_check_interval": 25,
    }
