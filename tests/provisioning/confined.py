"""Runs a command as a unit would confine it: `python confined.py UNIT COMMAND…`.

What of the unit the kernel enforces on any process is put in force here by the same means that
systemd uses, a seccomp filter: SystemCallFilter, RestrictAddressFamilies, MemoryDenyWriteExecute,
and an empty CapabilityBoundingSet. What needs mounts and control groups is not.
"""

import ctypes
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_EQUAL, _MASKED_EQUAL = 4, 7
_PROT_WRITE, _PROT_EXEC = 2, 4
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")


class _Condition(ctypes.Structure):
    """libseccomp's scmp_arg_cmp: which argument, how compared, with what."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("how", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def settings(unit: Path) -> Iterator[tuple[str, str]]:
    """Every directive of a unit file, in order."""
    for line in unit.read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            yield key, value


def allowed_calls(unit: Path) -> set[str]:
    """The names that the SystemCallFilter lines leave, in their order: lists add, ~ takes away."""
    left: set[str] = set()
    sets = _sets()
    for key, value in settings(unit):
        if key == "SystemCallFilter":
            named = set(_expand(value.removeprefix("~").split(), sets))
            left = left - named if value.startswith("~") else left | named
    return left


def _expand(names: Iterable[str], sets: Mapping[str, list[str]]) -> Iterator[str]:
    for name in names:
        if name.startswith("@"):
            yield from _expand(sets[name], sets)
        else:
            yield name


def _sets() -> dict[str, list[str]]:
    """systemd's own sets of calls: each name with its members, which may be sets again."""
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True
    ).stdout
    sets: dict[str, list[str]] = {}
    members: list[str] = []
    for line in listed.splitlines():
        if line.startswith("@"):
            members = sets.setdefault(line, [])
        elif line.startswith("    ") and line.strip()[0] != "#":
            members.append(line.strip())
    return sets


def _conditions(call: str, families: list[int]) -> list[_Condition]:
    """When this call is allowed; empty: always."""
    both = _PROT_WRITE | _PROT_EXEC
    if call == "socket":
        return [_Condition(0, _EQUAL, family, 0) for family in families]
    if call == "mmap":
        return [_Condition(2, _MASKED_EQUAL, both, some) for some in (0, _PROT_WRITE, _PROT_EXEC)]
    if call in ("mprotect", "pkey_mprotect"):
        return [_Condition(2, _MASKED_EQUAL, _PROT_EXEC, 0)]
    return []


def confine(unit: Path) -> None:
    """From here on this process and its children live as the unit says."""
    told = dict(settings(unit))
    assert told["MemoryDenyWriteExecute"] == "yes"
    assert told["CapabilityBoundingSet"] == ""
    families = [getattr(socket, name) for name in told["RestrictAddressFamilies"].split()]
    libc = ctypes.CDLL(None, use_errno=True)
    if os.getuid() == 0:
        for capability in range(int(_LAST_CAPABILITY.read_text()) + 1):
            assert libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0
    assert libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    filter_ = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(_REFUSE)))
    for call in sorted(allowed_calls(unit)):
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            continue  # this processor does not have it
        conditions = _conditions(call, families)
        # Each rule is one way to be allowed; a rule without conditions always is.
        for rule in [[condition] for condition in conditions] or [[]]:
            array = (_Condition * len(rule))(*rule)
            done = seccomp.seccomp_rule_add_array(
                filter_, ctypes.c_uint32(_ALLOW), number, len(rule), array
            )
            assert done == 0, (call, done)
    assert seccomp.seccomp_load(filter_) == 0


if __name__ == "__main__":
    confine(Path(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
