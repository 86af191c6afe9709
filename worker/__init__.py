"""The Celery app and what runs in it: batches, dispatcher, supervisor, the embedded broker.

Imports configs, db and tasks, and alone knows Celery; only cli imports it.
"""
