"""Settings: read once, at the edge.

From the highest: arguments, environment (`TRANSFER_LEDGER_…`), `ledger.toml` in the data folder, defaults.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from ledger.errors import MalformedInput
from ledger.policy import Policy

PREFIX = "TRANSFER_LEDGER_"
CONFIG = "ledger.toml"


class Settings(BaseSettings):
    """Everything that can be set. Durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    data: Path = Field(Path("ledger-data"), description="Folder of database, keys and managed chain.")
    database: str | None = Field(None, description="SQLAlchemy URL; SQLite in the data folder by default.")
    rpc: str | None = Field(None, description="URL of an EVM node; a managed Anvil by default.")
    chain_id: int = Field(31337, ge=1, description="Chain id that the node must have.")
    contract: str | None = Field(None, description="Address of the TransferLog contract; set by `init`.")
    operator_key: Path | None = Field(
        None, description="File of the anchoring key; in the data folder by default."
    )
    registrar_key: Path | None = Field(
        None, description="File of the registrar's key; in the data folder by default."
    )
    host: str = "127.0.0.1"
    port: int = Field(8420, ge=0, le=65535)
    worker: bool = Field(True, description="Seal, anchor and project in the API process.")
    readers: int | None = Field(
        None, ge=0, le=64, description="Processes that read large pushes; by default one a core, 4 at most."
    )
    poll_seconds: float = Field(0.5, gt=0)
    rpc_timeout_seconds: float = Field(10.0, gt=0)
    seal_leaves: int = Field(1024, ge=1, le=2**20)
    batch_leaves: int = Field(8192, ge=1, le=2**20)
    seal_seconds: float = Field(10.0, gt=0)
    include_within_seconds: float = Field(600.0, gt=0)
    confirmations: int = Field(0, ge=0)
    worker_port: int | None = Field(
        None, ge=0, le=65535, description="Port on which `worker` answers /metrics, /healthz and /readyz."
    )
    metrics: Literal["off", "secret", "open"] = Field(
        "off", description="Whether /metrics answers: nobody, who has keys/metrics.secret, or everybody."
    )
    shutdown_seconds: float = Field(25.0, ge=1, description="How long the end of a process may take.")
    unready_seconds: float = Field(
        1.0, ge=0, description="How long /readyz says that the API will end, before it stops listening."
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")

    @property
    def reader_processes(self) -> int:
        """How many processes read large pushes: none on a single core, where that would be no faster."""
        cores = os.cpu_count() or 1
        return self.readers if self.readers is not None else min(cores, 4) if cores > 1 else 0

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{(self.data / 'ledger.db').resolve()}"

    @property
    def operator_key_file(self) -> Path:
        return self.operator_key or self.data / "keys" / "operator.key"

    @property
    def registrar_key_file(self) -> Path:
        return self.registrar_key or self.data / "keys" / "registrar.key"

    @property
    def id_secret_file(self) -> Path:
        return self.data / "keys" / "ids.secret"

    @property
    def metrics_secret_file(self) -> Path:
        return self.data / "keys" / "metrics.secret"

    @property
    def policy(self) -> Policy:
        return Policy(
            seal_leaves=self.seal_leaves,
            seal_age=round(self.seal_seconds * 1000),
            batch_leaves=max(self.seal_leaves, self.batch_leaves),
            include_within=round(self.include_within_seconds * 1000),
            confirmations=self.confirmations,
        )

    @classmethod
    def load(cls, **arguments: Any) -> Self:
        """Read the settings; arguments that are None count as not given.

        Raises:
            MalformedInput: naming the first setting that is wrong.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            raise MalformedInput(
                f"the setting {name!r} is wrong",
                expected=first["msg"],
                advice=f"Set {PREFIX}{name.upper()} or {CONFIG}.",
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise MalformedInput(f"{CONFIG} in the data folder is not TOML", got=str(error)) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The data folder itself can only come from the sources above its own file.
        above = {**env_settings(), **init_settings()}
        folder = Path(above.get("data", cls.model_fields["data"].default))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, folder / CONFIG)
