"""The Celery app and what runs in it: the batch runner, the top-up loop, the embedded broker."""
