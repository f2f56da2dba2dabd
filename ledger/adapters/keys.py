"""Private keys in files: one Ed25519 key for each log, one EVM key for each role, and secrets for keyed hashes.

::

    keys/                                    0700
        <SHA-256 of the origin, hex>.pem     0600   PKCS #8, `-----BEGIN PRIVATE KEY-----`
        operator.key                         0600   0x and 64 hex digits, one line
        ids.secret                           0600   64 hex digits, one line

A key is written once, whole and durably, and never overwritten: of two that make the same key at the same time, both
get the first one's. Nothing in here shows a private key: no `repr`, no log line, no error.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from ledger.errors import MalformedInput, NotFound
from ledger.signer import KeySigner
from ledger.types import Origin, from_hex, log_id

_SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_log = logging.getLogger(__name__)


class SignerFile:
    """An Ed25519 key pair in a file of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, name: str) -> KeySigner:
        """The key pair, under this name. Raises NotFound, or MalformedInput if the file holds something else."""
        pem = _read(self._path)
        if pem is None:
            raise NotFound(f"there is no key file {self._path}", advice="Restore it from its backup.")
        try:
            return KeySigner.from_pem(pem, name)
        except MalformedInput:
            raise _broken(self._path, "an Ed25519 private key, PKCS #8, PEM") from None

    def load_or_create(self, name: str) -> KeySigner:
        """The key pair; a new one, durable before this returns, if there is no file."""
        if _read(self._path) is None:
            _write_once(self._path, KeySigner.generate(name).pem)
        return self.load(name)

    def __repr__(self) -> str:
        return f"SignerFile({str(self._path)!r})"


class FileKeyring:
    """`Keyring` in a folder, which is made if it is not there. May be used by several processes at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def signer(self, origin: Origin) -> KeySigner:
        try:
            return self._file(origin).load(origin)
        except NotFound:
            raise NotFound(
                f"this ledger does not hold the key of log {origin}",
                expected=f"a key file {self._path(origin)}",
                advice="Restore the key from its backup; a new key would be another log.",
            ) from None

    def create(self, origin: Origin) -> KeySigner:
        return self._file(origin).load_or_create(origin)

    def __repr__(self) -> str:
        return f"FileKeyring({str(self._folder)!r})"

    def _file(self, origin: Origin) -> SignerFile:
        return SignerFile(self._path(origin))

    def _path(self, origin: Origin) -> Path:
        return self._folder / f"{log_id(origin).hex()}.pem"


class EvmKeyFile:
    """The private key of one EVM account, for a role such as operator or registrar."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> bytes:
        """The private key, 32 bytes. Raises NotFound, or MalformedInput if the file holds something else."""
        text = _read(self._path)
        if text is None:
            raise NotFound(
                f"there is no key file {self._path}",
                advice="Restore it from its backup; `transfer-ledger init` makes one for a new ledger.",
            )
        expected = "0x and 64 hexadecimal digits of a secp256k1 private key, one line"
        try:
            key = from_hex(text.decode("ascii").strip())
        except (MalformedInput, UnicodeDecodeError):
            raise _broken(self._path, expected) from None
        if len(key) != 32 or not 0 < int.from_bytes(key) < _SECP256K1_ORDER:
            raise _broken(self._path, expected)
        return key

    def load_or_create(self) -> bytes:
        """The private key; a new one, durable before this returns, if there is no file."""
        if _read(self._path) is None:
            number = 1 + secrets.randbelow(_SECP256K1_ORDER - 1)
            _write_once(self._path, f"0x{number:064x}\n".encode())
        return self.load()

    def __repr__(self) -> str:
        return f"EvmKeyFile({str(self._path)!r})"


class SecretFile:
    """A secret of 32 bytes, as `openssl rand -hex 32` writes one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> bytes:
        """The secret. Raises NotFound, or MalformedInput if the file holds something else."""
        text = _read(self._path)
        if text is None:
            raise NotFound(
                f"there is no secret {self._path}",
                advice="Restore it from its backup, or make a first one: `openssl rand -hex 32`.",
            )
        if not re.fullmatch(rb"[0-9a-f]{64}", text.strip()):
            raise _broken(self._path, "64 hexadecimal digits in lower case, one line")
        return bytes.fromhex(text.decode())

    def load_or_create(self) -> bytes:
        """The secret; a new one, durable before this returns, if there is no file."""
        if _read(self._path) is None:
            _write_once(self._path, f"{secrets.token_hex(32)}\n".encode())
        return self.load()

    def __repr__(self) -> str:
        return f"SecretFile({str(self._path)!r})"


def _broken(path: Path, expected: str) -> MalformedInput:
    return MalformedInput(
        f"the key file {path} is broken", expected=expected, advice="Restore it from its backup."
    )


def _read(path: Path) -> bytes | None:
    """The content of a key file, or None if there is no such file; warns if others may read it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MalformedInput(
            f"the key file {path} cannot be read", got=error.strerror or str(error)
        ) from None
    if os.name == "posix" and mode & 0o077:
        _log.warning("key file %s may be read by other users (mode %03o): run chmod 600 on it", path, mode)
    return content


def _write_once(path: Path, content: bytes) -> None:
    """Create a file with this content, durably, or leave the one that is there."""
    try:
        _write(path, content)
    except OSError as error:
        raise MalformedInput(
            f"the key file {path} cannot be written", got=error.strerror or str(error)
        ) from None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(temporary, path)  # unlike a rename, refuses to replace
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
