"""The embedded broker: a real Redis server, owned by one process of a home folder."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import psutil
import pytest

from curate.configs.errors import ServiceError
from curate.configs.settings import Settings
from curate.worker import broker as module
from curate.worker.broker import EmbeddedBroker, broker_url, check_broker, socket_path
from tests.pipelines import wait_until

pytestmark = pytest.mark.skipif(module.redis_executable() is None, reason="no redis-server")


def pid_of(broker: EmbeddedBroker) -> int:
    pid = broker.server_pid()
    assert pid is not None
    return pid


def test_it_starts_answers_and_stops(home: Path) -> None:
    with EmbeddedBroker(Settings(home=home)) as broker:
        check_broker(broker.url)
        pid = pid_of(broker)
    assert broker.server_pid() is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_listens_on_a_private_socket_only(home: Path) -> None:
    import redis

    with EmbeddedBroker(Settings(home=home)):
        path = socket_path(Settings(home=home))
        assert path.parent.stat().st_mode & 0o777 == 0o700
        with redis.Redis(unix_socket_path=str(path)) as client:
            assert client.config_get("port") == {"port": "0"}
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_a_killed_server_is_started_again(home: Path) -> None:
    with EmbeddedBroker(Settings(home=home)) as broker:
        os.kill(pid_of(broker), signal.SIGKILL)
        wait_until(lambda: broker._server is not None and broker._server.poll() is not None)
        assert broker.ensure() is True
        assert broker.ensure() is False
        pid_of(broker)


def test_a_server_that_is_stuck_is_replaced_after_a_while(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedBroker(Settings(home=home)) as broker:
        stuck = pid_of(broker)
        os.kill(stuck, signal.SIGSTOP)
        assert broker.ensure() is False  # it may only be slow
        monkeypatch.setattr(module, "SLOW_SECONDS", 0.0)
        assert broker.ensure() is True
        assert pid_of(broker) != stuck


@pytest.fixture
def never_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A server that starts and never listens; its name."""
    server = tmp_path / "never-ready"
    server.write_text(f"#!{sys.executable}\nimport signal\nsignal.pause()\n")
    server.chmod(0o700)
    monkeypatch.setattr(module, "redis_executable", lambda: str(server))
    return str(server)


def running(name: str) -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if name in p.cmdline()]


def test_a_server_that_is_too_slow_to_start_is_not_left_behind(
    home: Path, monkeypatch: pytest.MonkeyPatch, never_ready: str
) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.1)
    with pytest.raises(ServiceError, match="does not start"):
        EmbeddedBroker(Settings(home=home)).__enter__()
    assert running(never_ready) == []


def test_a_signal_while_it_starts_leaves_no_server_behind(
    home: Path, monkeypatch: pytest.MonkeyPatch, never_ready: str
) -> None:
    def asked(broker: EmbeddedBroker) -> None:
        if broker._server and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt  # as the handler of a signal does, wherever the program is

    interrupted: list[bool] = []
    monkeypatch.setattr(EmbeddedBroker, "server_pid", asked)
    with pytest.raises(KeyboardInterrupt):
        EmbeddedBroker(Settings(home=home)).__enter__()
    assert running(never_ready) == []


def test_a_second_process_shares_the_server_and_leaves_it_running(home: Path) -> None:
    settings = Settings(home=home)
    with EmbeddedBroker(settings) as first:
        pid = pid_of(first)
        with EmbeddedBroker(settings) as second:
            assert pid_of(second) == pid
        assert pid_of(first) == pid


def test_a_server_whose_owner_was_killed_is_adopted_and_stopped(home: Path) -> None:
    settings = Settings(home=home)
    first = EmbeddedBroker(settings).__enter__()
    pid = pid_of(first)
    assert first._lock is not None
    first._lock.close()  # what the kernel does when the owner dies
    with EmbeddedBroker(settings) as second:
        assert pid_of(second) == pid
    assert first.server_pid() is None
    assert first._server is not None
    first._server.wait(10)


def test_when_the_owner_ends_another_process_takes_over(home: Path) -> None:
    settings = Settings(home=home)
    first = EmbeddedBroker(settings).__enter__()
    with EmbeddedBroker(settings) as second:
        first.stop()
        assert second.ensure() is True
        pid_of(second)
    assert second.server_pid() is None


@pytest.fixture
def long_home(tmp_path: Path) -> Path:
    """A home whose socket lies elsewhere, because its path is too long for one."""
    return tmp_path / ("x" * 120)


@pytest.mark.parametrize("where", ["socket", "home"])
def test_a_server_whose_folder_was_removed_is_replaced_at_once(long_home: Path, where: str) -> None:
    settings = Settings(home=long_home)
    with EmbeddedBroker(settings) as broker:
        lost = pid_of(broker)
        shutil.rmtree(socket_path(settings).parent)
        if where == "home":
            shutil.rmtree(long_home / "broker")
        assert broker.ensure() is True
        assert pid_of(broker) != lost
        assert broker.ensure() is False
        assert not psutil.pid_exists(lost)
        with EmbeddedBroker(settings) as second:
            assert pid_of(second) == pid_of(broker)
        pid_of(broker)  # the second does not own it
    assert not socket_path(settings).parent.exists()


def test_a_server_without_socket_whose_owner_was_killed_is_ended(long_home: Path) -> None:
    settings = Settings(home=long_home)
    first = EmbeddedBroker(settings).__enter__()
    assert first._lock is not None
    assert first._server is not None
    shutil.rmtree(socket_path(settings).parent)
    first._lock.close()  # what the kernel does when the owner dies
    with EmbeddedBroker(settings) as second:
        first._server.wait(10)
        pid_of(second)


@pytest.mark.parametrize("mode", [0o777, 0o720])
def test_a_folder_that_others_may_write_to_is_refused(long_home: Path, mode: int) -> None:
    folder = socket_path(Settings(home=long_home)).parent
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ServiceError, match="only this user can write to"):
        EmbeddedBroker(Settings(home=long_home)).__enter__()
    assert not folder.exists()


def test_a_link_to_another_folder_is_refused(long_home: Path, tmp_path: Path) -> None:
    folder = socket_path(Settings(home=long_home)).parent
    folder.symlink_to(tmp_path)
    with pytest.raises(ServiceError, match="only this user can write to"):
        EmbeddedBroker(Settings(home=long_home)).__enter__()
    folder.unlink()


def test_its_socket_is_not_where_a_logout_removes_it(
    long_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert tmp_path not in socket_path(Settings(home=long_home)).parents


def test_a_long_home_folder_gets_a_short_socket_path(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / ("x" * 120))
    assert len(str(socket_path(settings))) < 108
    with EmbeddedBroker(settings) as broker:
        check_broker(broker.url)


def test_a_configured_broker_is_not_embedded(home: Path) -> None:
    with EmbeddedBroker(Settings(home=home, broker_url="redis://h:1/0")) as broker:
        assert not broker.is_redis
        assert broker.ensure() is False
    assert not home.exists()


def test_without_any_redis_the_file_system_is_the_broker(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "redis_executable", lambda: None)
    assert broker_url(Settings(home=home)) == "filesystem://"
    check_broker("filesystem://")


def test_a_broker_that_is_not_there_is_a_service_error_without_the_password() -> None:
    with pytest.raises(ServiceError) as error:
        check_broker("redis://:geheim@127.0.0.1:1/0")
    assert "geheim" not in str(error.value)
    assert "doctor" in str(error.value)
