"""What is raised while the database or the broker is away: it passes, and no batch or row is to
blame.
"""

from __future__ import annotations

from curate.configs.errors import ServiceError


def outages() -> tuple[type[Exception], ...]:
    """The exceptions. The libraries are loaded when asked: `curate --help` does without."""
    from amqp.exceptions import AMQPError
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    return (ServiceError, OperationalError, RedisError, AMQPError, OSError)
