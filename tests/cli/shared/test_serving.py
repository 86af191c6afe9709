"""Commands that stay: who may reach them."""

from __future__ import annotations

import pytest

from curate.cli.flower import LOGIN
from curate.cli.shared.serving import refuse_open_address
from curate.configs.errors import UsageError


def test_flower_needs_a_login_on_other_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_open_address("127.0.0.1", 5555, LOGIN)
    refuse_open_address("::1", 5555, LOGIN)
    monkeypatch.delenv("FLOWER_BASIC_AUTH", raising=False)
    with pytest.raises(UsageError, match="FLOWER_BASIC_AUTH"):
        refuse_open_address("0.0.0.0", 5555, LOGIN)
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "me:secret")
    refuse_open_address("0.0.0.0", 5555, LOGIN)
