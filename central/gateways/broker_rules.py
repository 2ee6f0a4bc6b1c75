"""What the broker must know: who may say and hear what, and whose password is right.

One generated `user` block for each gateway and no pattern, so that revoking one removes one block.
"""

import base64
import hashlib
from collections.abc import Iterable

from domain.wire.topics import Topics, up_filter

_ITERATIONS = 101  # what mosquitto 2 writes itself; the passwords are long and random
_SALT_BYTES = 12


def acl_text(gateway_ids: Iterable[str], *, cell_id: str, centre_user: str) -> str:
    """The broker's access file. A gateway's user name is its id. Raises ValueError for a bad id."""
    up_all = up_filter(cell_id)
    down_all = f"{up_all.removesuffix('/up/#')}/down/#"
    blocks = [f"user {_name(centre_user)}\ntopic read {up_all}\ntopic write {down_all}\n"]
    for gateway_id in sorted(set(gateway_ids)):
        down = Topics(cell_id, gateway_id).down_filter
        up = f"{down.removesuffix('/down/#')}/up/#"
        blocks.append(f"user {gateway_id}\ntopic write {up}\ntopic read {down}\n")
    return "\n".join(blocks)


def password_line(user: str, password: str, salt: bytes) -> str:
    """One line of the broker's password file (PBKDF2-SHA-512); `salt` is 12 random bytes."""
    if len(salt) != _SALT_BYTES:
        raise ValueError(f"a salt has {_SALT_BYTES} bytes, not {len(salt)}")
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    shown = (base64.b64encode(part).decode() for part in (salt, digest))
    return f"{_name(user)}:$7${_ITERATIONS}${'$'.join(shown)}\n"


def _name(user: str) -> str:
    if not user or any(letter.isspace() or letter == ":" for letter in user):
        raise ValueError(f"{user!r} cannot be a user name of the broker")
    return user
