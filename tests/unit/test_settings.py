"""Settings: read from the environment, pinned defaults, refusals that name the variable."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliograph.core import errors
from heliograph.settings import Auth, EngineChoice, Settings, default_model_dir, misspelt, read_settings

MEGA = 1_000_000


def test_the_defaults_are_what_the_documents_promise() -> None:
    settings = read_settings()
    assert (settings.host, settings.port, settings.ops_port) == ("127.0.0.1", 8000, None)
    assert (settings.auth, settings.api_keys_file, settings.allowed_hosts) == (Auth.AUTO, None, ())
    assert settings.models == ("efficientnet-lite0", "kmnist", "silhouette", "*")
    assert settings.max_picture_bytes == 20 * MEGA
    assert settings.max_picture_pixels == 50 * MEGA
    assert settings.max_picture_side == 16_384
    assert settings.max_request_bytes == 64 * MEGA
    assert settings.max_decoded_pixels == 64 * MEGA
    assert settings.drain_seconds == 0.2
    assert settings.engine is EngineChoice.AUTO
    assert settings.model_dir == default_model_dir()


def test_every_setting_is_explained() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_lists_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_MODELS", " a, b-fp16 ,,c")
    monkeypatch.setenv("HELIOGRAPH_MODEL_MIRRORS", os.pathsep.join(["/one", "/two words", ""]))
    monkeypatch.setenv("HELIOGRAPH_ALLOWED_HOSTS", "a.example,b.example")
    settings = read_settings()
    assert settings.models == ("a", "b-fp16", "c")
    assert settings.model_mirrors == (Path("/one"), Path("/two words"))
    assert settings.allowed_hosts == ("a.example", "b.example")


def test_what_is_given_counts_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_PORT", "9000")
    assert read_settings(port=None).port == 9000
    assert read_settings(port=9001).port == 9001


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("PORT", "http"),
        ("THREADS", "0"),
        ("MAX_BATCH", "65"),
        ("KEEP_ALIVE_SECONDS", "0"),
        ("DRAIN_SECONDS", "-1"),
        ("ENGINE", "tensorflow"),
        ("AUTH", "on"),
        ("MODELS", ""),
        ("MAX_IN_FLIGHT", "nan"),
        ("REQUEST_TIMEOUT_SECONDS", "nan"),
        ("DRAIN_SECONDS", "inf"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"HELIOGRAPH_{name}", value)
    with pytest.raises(errors.SettingsInvalid, match=f"HELIOGRAPH_{name}: "):
        read_settings()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0" + ".0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_what_counts_as_loopback(host: str, loopback: bool) -> None:
    assert read_settings(host=host).on_loopback is loopback


def test_the_store_follows_the_data_folder_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert read_settings().model_dir == Path("/data/heliograph/models")


def test_variables_that_are_no_settings_are_found_with_what_they_may_mean() -> None:
    assert misspelt(
        {
            "HELIOGRAPH_API_KEYS_FIEL": "/keys",
            "HELIOGRAPH_MAX_REQUEST_BYTE": "5",
            "heliograph_thread": "1",
            "HELIOGRAPH_COLOUR": "red",
            "HELIOGRAPH_OP_PORT": "9000",
        }
    ) == {
        "HELIOGRAPH_OP_PORT": "HELIOGRAPH_OPS_PORT",
        "HELIOGRAPH_API_KEYS_FIEL": "HELIOGRAPH_API_KEYS_FILE",
        "HELIOGRAPH_MAX_REQUEST_BYTE": "HELIOGRAPH_MAX_REQUEST_BYTES",
        "heliograph_thread": "HELIOGRAPH_THREADS",
        "HELIOGRAPH_COLOUR": "",
    }
    assert not misspelt(f"HELIOGRAPH_{name.upper()}" for name in Settings.model_fields)
    assert not misspelt(
        [
            "HELIOGRAPH_API_KEY",
            "HELIOGRAPH_TEST_CLUSTER",
            "HELIOGRAPH_SERVICE_HOST",
            "HELIOGRAPH_SERVICE_PORT_HTTP",
            "HELIOGRAPH_PORT_8000_TCP_ADDR",
            "HELIOGRAPH_VALKEY_PORT",
            "heliograph_port",
            "PATH",
        ]
    )
