"""A gateway's keys: which epochs are valid, and what is written to its card at enrolment.

Nothing secret is stored in the books: every secret is made from the master key when it is needed.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from central.gateways.registry import Gateway
from domain.wire.envelope import gateway_secret


def secrets(master: bytes, gateway: Gateway, *, now_ms: int) -> Mapping[int, bytes]:
    """Epoch → secret of every epoch that is valid now; none for a revoked gateway."""
    return {
        epoch: gateway_secret(master, gateway.gateway_id, epoch) for epoch in gateway.epochs(now_ms)
    }


def keys_text(master: bytes, gateway: Gateway, *, now_ms: int) -> str:
    """The gateway's keys file: lines `epoch hex64`, newest first. Raises ValueError if revoked."""
    valid = secrets(master, gateway, now_ms=now_ms)
    if not valid:
        raise ValueError(f"gateway {gateway.gateway_id} is revoked: it gets no key")
    return "".join(f"{epoch} {valid[epoch].hex()}\n" for epoch in sorted(valid, reverse=True))


def write_keys(path: Path, text: str) -> None:
    """Write a keys file that only its owner can read, whole or not at all. Raises OSError."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
