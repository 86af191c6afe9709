"""The Celery app and what runs in it: batches, dispatcher, supervisor, the embedded broker.

Imports configs, db and tasks, and is the only folder that depends on Celery; only cli imports it.
"""
