"""Celery's settings: JSON only, two queues, nothing the broker keeps."""

from __future__ import annotations

from pathlib import Path

from curate.configs.settings import Settings
from curate.worker.celery_settings import celery_settings, transport_options


def test_only_json_is_accepted(home: Path) -> None:
    settings = celery_settings(Settings(home=home))
    assert settings["accept_content"] == ["json"]
    assert settings["task_serializer"] == "json"
    assert settings["result_backend"] is None


def test_there_are_two_queues_and_no_others(home: Path) -> None:
    settings = celery_settings(Settings(home=home))
    assert [q.name for q in settings["task_queues"]] == ["cpu", "ascend"]
    assert [q.routing_key for q in settings["task_queues"]] == ["cpu", "ascend"]
    assert settings["task_create_missing_queues"] is False


def test_queues_of_rabbitmq_are_quorum_queues(home: Path) -> None:
    for url, arguments in (("amqp://h", {"x-queue-type": "quorum"}), ("redis://h", {})):
        queues = celery_settings(Settings(home=home, broker_url=url))["task_queues"]
        assert [q.queue_arguments for q in queues] == [arguments] * 2


def test_options_of_transports(tmp_path: Path) -> None:
    assert transport_options("amqp://h", tmp_path) == {"confirm_publish": True}
    assert Path(transport_options("filesystem://", tmp_path)["data_folder_in"]).is_dir()
