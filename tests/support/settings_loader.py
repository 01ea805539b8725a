"""Configurations of made-up clouds, and a loader of their settings in a folder of its own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import attrs
import pytest

from otaclient.errors import ConfigurationError
from otaclient.secret import Secret
from otaclient.settings import load_config


@attrs.frozen(kw_only=True)
class CloudConfig:
    """A configuration with one field of every type that settings can fill."""

    endpoint: str
    app_secret: Secret
    region: str | None = None
    retries: int = 3
    pause_seconds: float = 1.5
    derived: bool | None = None
    scheme: Literal["basic", "digest"] = "basic"
    nested: dict[str, str] | None = None
    cached: str = attrs.field(init=False, default="not a setting")

    def __attrs_post_init__(self) -> None:
        if "://" not in self.endpoint:
            raise ConfigurationError("endpoint has no scheme: begin it with https://")
        if self.retries < 0:
            raise ValueError("retries must not be negative")


@attrs.frozen(kw_only=True)
class LayeredConfig:
    """A configuration that is filled through a flat class of its own."""

    credentials: tuple[str, Secret]

    @attrs.frozen(kw_only=True)
    class Settings:
        """The flat half."""

        auth: str = "key"
        access_key: str | None = None
        token: Secret | None = None

        def to_config(self) -> "LayeredConfig":
            """Return the configuration that these settings choose."""
            if self.token is None:
                raise ConfigurationError(f"cloud: auth {self.auth!r} needs token")
            return LayeredConfig(credentials=(self.auth, self.token))


GOOD = {"OTACLIENT_CLOUD_ENDPOINT": "https://cloud.example", "OTACLIENT_CLOUD_APP_SECRET": "hunter2"}


@attrs.frozen(kw_only=True)
class Loader:
    """Loads the configuration of backend ``cloud`` from two folders of a test's own."""

    here: Path
    user: Path

    @property
    def folders(self) -> tuple[Path, Path]:
        """The folders in search order."""
        return self.here, self.user

    def write(self, text: str, *, folder: Path | None = None) -> Path:
        """Write a settings file and return its path."""
        path = (folder or self.here) / "otaclient.toml"
        path.write_text(text, encoding="utf-8")
        return path

    def load(
        self, environ: Mapping[str, str] | None = None, *, profile: str | None = None, **overrides: object
    ) -> CloudConfig:
        """Load from these folders and this environment alone."""
        return load_config(
            "cloud", CloudConfig, profile=profile, overrides=overrides, environ=environ or {}, folders=self.folders
        )

    def refused(self, environ: Mapping[str, str] | None = None, **options: object) -> str:
        """Return the one line that loading is refused with."""
        call: Callable[..., CloudConfig] = self.load
        with pytest.raises(ConfigurationError) as caught:
            call(environ, **options)
        message = str(caught.value)
        assert "\n" not in message
        assert "hunter2" not in message
        return message
