"""Settings come from flags over the environment over defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ValidationError

from curate.configs.errors import ConfigError
from curate.configs.settings import (
    first_problem,
    hide_password,
    load_settings,
    sources,
    without_passwords,
)


def test_defaults_put_everything_below_the_home_folder(tmp_path: Path) -> None:
    settings = load_settings({"CURATE_HOME": str(tmp_path)})
    assert settings.database == f"sqlite:///{tmp_path}/curate.db"
    assert settings.samples == tmp_path / "samples"
    assert settings.clips == tmp_path / "clips"


def test_a_flag_beats_the_environment() -> None:
    assert load_settings({"CURATE_LEASE_SECONDS": "30"}, lease_seconds=40).lease_seconds == 40
    assert load_settings({"CURATE_LEASE_SECONDS": "30"}, lease_seconds=None).lease_seconds == 30


def test_an_unknown_variable_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean CURATE_HOME"):
        load_settings({"CURATE_HOMES": "x"})


@pytest.mark.parametrize("value", ["x", "0", "1e9"])
def test_a_value_out_of_range_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="lease_seconds"):
        load_settings({"CURATE_LEASE_SECONDS": value})


def test_a_child_process_gets_the_same_settings(tmp_path: Path) -> None:
    settings = load_settings(
        {"CURATE_HOME": str(tmp_path), "CURATE_MEDIA": "/m", "CURATE_MAX_ATTEMPTS": "7"}
    )
    assert load_settings(settings.environment()) == settings


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h/db", "postgresql://u:***@h/db"),
        ("redis://:se@cret@h:1/0", "redis://:***@h:1/0"),
        ("sqlite:////a@b:c.db", "sqlite:////a@b:c.db"),
        ("redis://h:1/0", "redis://h:1/0"),
        (
            "https://h/a.mp4?X-Amz-Credential=c&X-Amz-Signature=s&sig=g&access_token=t&design=3",
            "https://h/a.mp4?X-Amz-Credential=***&X-Amz-Signature=***&sig=***&access_token=***"
            "&design=3",
        ),
        ("postgresql+psycopg://u:secret@h/db", "postgresql://u:***@h/db"),
        (
            "postgresql://h/db?user=u&password=secret&sslpassword=s",
            "postgresql://h/db?user=u&password=***&sslpassword=***",
        ),
        (
            "postgresql://u@corp:my secret@h/db?passfile=/x y",
            "postgresql://u@corp:***@h/db?passfile=***",
        ),
    ],
)
def test_passwords_are_hidden(url: str, shown: str) -> None:
    assert hide_password(url) == shown


def test_texts_and_urls_without_a_password_stay() -> None:
    for same in (
        "redis://h:6379/0",
        "see https://a.b/c:d and me",
        "cpu0@h ready",
        "redis+socket:///a/b.sock",
    ):
        assert without_passwords(same) == hide_password(same) == same


PARTS = st.sampled_from(
    ["HUSH", "@", ":", "/", "?", "#", "%40", "=", "+", "://", "?password=", "é", "'"]
)
SECRETS = st.lists(PARTS, max_size=6).map(lambda parts: "HUSH" + "".join(parts))
SCHEMES = st.sampled_from(["postgresql", "postgresql+psycopg", "redis", "rediss", "amqp"])
QUERY_NAMES = st.sampled_from(
    ["password", "sslpassword", "passfile", "ssl_password", "sentinel_password"]
)


@given(
    SCHEMES,
    st.sampled_from(["u", "u@corp", ""]),
    SECRETS | st.none(),
    QUERY_NAMES,
    SECRETS | st.none(),
    st.booleans(),
)
def test_no_password_of_any_form_survives(
    scheme: str, user: str, login: str | None, name: str, queried: str | None, more: bool
) -> None:
    url = f"{scheme}://{user}" + (f":{login}" if login else "") + "@h:1/db?host=/a"
    url += (f"&{name}={queried}" if queried else "") + ("&x=1" if more else "")
    assert "HUSH" not in hide_password(url)
    said = without_passwords(f"a {url}, b")
    assert "HUSH" not in said
    assert said.startswith(f"a {scheme.partition('+')[0]}://{user}")
    assert said.endswith(" b")


def test_sources_tell_where_a_value_came_from_and_hide_passwords() -> None:
    env = {"CURATE_BROKER_URL": "redis://:geheim@h/0"}
    rows = {r["setting"]: r for r in sources(load_settings(env, max_attempts=9), env)}
    assert rows["CURATE_BROKER_URL"]["source"] == "environment"
    assert rows["CURATE_MAX_ATTEMPTS"]["source"] == "flag"
    assert rows["CURATE_HOME"]["source"] == "default"
    assert "geheim" not in str(rows)


@pytest.mark.parametrize("name", ["CURATE_METRICS_AUTH", "FLOWER_BASIC_AUTH"])
def test_of_a_login_only_whether_it_is_set_is_told(name: str) -> None:
    rows = {r["setting"]: r for r in sources(load_settings({}), {name: "me:geheim"})}
    assert (rows[name]["value"], rows[name]["source"]) == ("***", "environment")
    assert load_settings({name: "me:geheim"}) == load_settings({})
    unset = {r["setting"]: r for r in sources(load_settings({}), {})}
    assert (unset[name]["value"], unset[name]["source"]) == ("", "default")


def test_clips_and_samples_go_below_a_url(tmp_path: Path) -> None:
    settings = load_settings({"CURATE_HOME": str(tmp_path), "CURATE_MEDIA": "s3://bucket/clips/"})
    assert settings.clips == "s3://bucket/clips"
    assert settings.samples == "s3://bucket/clips/samples"
    assert load_settings(settings.environment()) == settings


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    settings = load_settings({"CURATE_HOME": str(tmp_path), "CURATE_MEDIA": "file:///m/clips"})
    assert settings.clips == Path("/m/clips") and settings.samples == tmp_path / "samples"


@pytest.mark.parametrize(
    "url", ["s3://", "sftp://me:geheim@host/clips", "simplecache::s3://b/c", "s3://b?x=1"]
)
def test_a_media_url_that_cannot_be_part_of_every_path_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="PROTOCOL://BUCKET/PREFIX") as caught:
        load_settings({"CURATE_MEDIA": url})
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"subject": None}, "text: Input should be a valid string; put it in quotes, '' for"),
        (None, "text: Input should be a valid string; put it in quotes"),
        ("twice", "text: not twice (given: 'twice')"),
    ],
)
def test_an_option_that_is_no_text_is_to_be_quoted(value: object, told: str) -> None:
    def once(text: str) -> str:
        raise ValueError(f"not {text}")

    class Options(BaseModel):
        text: Annotated[str, AfterValidator(once)]

    with pytest.raises(ValidationError) as wrong:
        Options.model_validate({"text": value})
    assert first_problem(wrong.value).startswith(told)
