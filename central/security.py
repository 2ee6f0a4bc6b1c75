"""Who acts, and the secrets by which we know it: passwords, session tokens, form tokens.

Only digests of secrets are ever stored. This module keeps nothing and reads no clock; random bytes
are arguments. What is kept about people stands in `central.people`.
"""

import asyncio
import base64
import hashlib
import hmac
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from central.permissions import Access, Role, allows
from domain.refusals import Refusal

T = TypeVar("T")

PASSWORD_MIN = 8
PASSWORD_MAX = 128
TOKEN_BYTES = 32
_AT_ONCE = 2  # passwords checked at the same time: each takes 64 MiB and a core for 100 ms


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, as the audit row will name them. `role` is None for the system itself.

    `origin` says from where: "web 10.0.0.7", "command line", "gateway b1-gw" …
    """

    operator_id: str
    name: str
    role: Role | None
    origin: str

    def may(self, access: Access) -> bool:
        """Whether this operator may pass; the system itself passes no door of the pages."""
        return allows(self.role, access)


SYSTEM = Actor(operator_id="system", name="system", role=None, origin="system")


def password_refusal(password: str, *, login: str) -> Refusal | None:
    """Why a new password cannot be taken, or None."""
    if len(password) < PASSWORD_MIN:
        return Refusal.password_too_short
    if len(password) > PASSWORD_MAX:
        return Refusal.password_too_long
    if password.strip().casefold() == login.casefold():
        return Refusal.password_is_login
    return None


class Passwords:
    """Argon2id off the event loop, a few at a time, so that a flood of guesses stops no page."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="argon2")
        self._nobody = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """The digest to keep."""
        return await self._run(lambda: self._hasher.hash(_form(password)))

    async def verify(self, digest: str | None, password: str) -> bool:
        """Whether `password` is the one of `digest`; None (no such operator) takes as long."""
        return await self._run(lambda: self._matches(digest, password))

    def _matches(self, digest: str | None, password: str) -> bool:
        try:
            self._hasher.verify(digest or self._nobody, _form(password)[: 4 * PASSWORD_MAX])
        except (VerificationError, InvalidHashError):
            return False
        return digest is not None

    async def _run(self, f: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, f)

    def close(self) -> None:
        """Wait for what is being computed."""
        self._threads.shutdown()


def _form(password: str) -> str:
    return unicodedata.normalize("NFKC", password)  # the same keys on another keyboard


def new_token(random_bytes: bytes) -> str:
    """A session token of 256 bits as cookie text. `random_bytes` must be TOKEN_BYTES long."""
    assert len(random_bytes) == TOKEN_BYTES
    return base64.urlsafe_b64encode(random_bytes).rstrip(b"=").decode()


def token_hash(token: str) -> str:
    """What is stored of a token; a token has too much entropy to need more than SHA-256."""
    return hashlib.sha256(token.encode()).hexdigest()


def form_token(token: str) -> str:
    """The token that every form of a session carries (CSRF): derived, so nothing is stored."""
    return hmac.new(token.encode(), b"form", hashlib.sha256).hexdigest()[:40]


def same_text(one: str, other: str) -> bool:
    """Equality in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())
