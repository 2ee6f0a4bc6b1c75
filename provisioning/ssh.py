"""Speaks SSH with one machine. The only module that knows asyncssh.

A host is believed when its key stands in the known_hosts file or has the fingerprint that was
given; nothing is ever trusted because it was seen first. Signing in is by key only. Settings of
~/.ssh/config do not count: what was typed is what happens.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncssh

from provisioning.ssh_faults import (
    DEFAULT_PORT,
    SshFault,
    Target,
    changed_key,
    no_shell,
    not_ssh,
    not_the_given_key,
    unknown_host,
)

# Every kind of plain host key; certificates of hosts are not looked at.
_KINDS = (
    *("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("rsa-sha2-512", "rsa-sha2-256"),
)
# OpenSSH lets ten sessions share a connection unless told otherwise.
_AT_ONCE = 5
# Said by the far side before anything it says is taken for a fact.
_GREETING = "wattledger"


async def ask(target: Target, questions: Mapping[str, str], *, patience_s: float) -> dict[str, str]:
    """What each command prints, by its name; a command that fails is left out.

    Each step (signing in, every command) has `patience_s` seconds. Raises SshFault.
    """
    connection = await _connect(target, patience_s=patience_s)
    try:
        greeting = await _run(connection, f"echo {_GREETING}", patience_s=patience_s)
        # The last line: some accounts greet everybody who comes in.
        if greeting is None or greeting.split()[-1:] != [_GREETING]:
            raise no_shell(target)
        return await _answers(connection, questions, patience_s=patience_s)
    except (OSError, asyncssh.Error) as error:
        connection.abort()  # a peer that fell silent would not say good-bye either
        raise _fault(target, error, patience_s=patience_s) from error
    finally:
        connection.close()
        await connection.wait_closed()


async def _connect(target: Target, *, patience_s: float) -> asyncssh.SSHClientConnection:
    judge = _Judge(target, _known_hosts(target))
    keys = () if target.key_file is None else [_private_key(target.key_file)]
    try:
        async with asyncio.timeout(patience_s):
            return await asyncssh.connect(
                target.host,
                target.port,
                username=target.user,
                client_keys=keys,
                client_factory=lambda: judge,
                known_hosts=judge.known,
                server_host_key_algs=judge.kinds(),
                preferred_auth="publickey",
                config=None,
            )
    except (asyncssh.ConnectionLost, ConnectionResetError) as error:
        if not judge.heard_ssh():
            raise not_ssh(target) from error
        raise judge.fault or _fault(target, error, patience_s=patience_s) from error
    except (OSError, UnicodeError, asyncssh.Error) as error:
        raise judge.fault or _fault(target, error, patience_s=patience_s) from error


async def _answers(
    connection: asyncssh.SSHClientConnection, questions: Mapping[str, str], *, patience_s: float
) -> dict[str, str]:
    """Several at a time, because each costs round trips over what may be a slow line."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(command: str) -> str | None:
        async with turn:
            return await _run(connection, command, patience_s=patience_s)

    printed = await asyncio.gather(*(one(command) for command in questions.values()))
    return {name: text for name, text in zip(questions, printed, strict=True) if text is not None}


async def _run(
    connection: asyncssh.SSHClientConnection, command: str, *, patience_s: float
) -> str | None:
    """What the command prints; None where it fails. Raises ConnectionLost where it never ends."""
    async with asyncio.timeout(patience_s):
        done = await connection.run(command, stdin=asyncssh.DEVNULL, errors="replace")
    if done.exit_status is None:
        raise asyncssh.ConnectionLost("no exit status")
    return str(done.stdout) if done.exit_status == 0 else None


class _Judge(asyncssh.SSHClient):
    """Decides about a host key that the known hosts do not vouch for, and remembers it."""

    def __init__(self, target: Target, known: asyncssh.SSHKnownHosts) -> None:
        self._target, self.known = target, known
        self.fault: SshFault | None = None
        self._connection: asyncssh.SSHClientConnection | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._connection = conn

    def heard_ssh(self) -> bool:
        """Whether the far side has said which SSH it speaks."""
        return bool(self._connection and self._connection.get_extra_info("server_version"))

    def kinds(self) -> list[str]:
        """Kinds of host key in the order we ask for them: recorded ones first, or a host could
        show a true key that nobody recorded; then all, so that a changed one is seen and named."""
        recorded = self._recorded(self._target.host, "", self._target.port)
        ours = [kind.decode() for key in recorded for kind in key.sig_algorithms]
        return list(dict.fromkeys([*(kind for kind in ours if kind in _KINDS), *_KINDS]))

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        shown = key.get_fingerprint()
        if shown == self._target.fingerprint:
            return True
        algorithm = key.get_algorithm()
        if self._target.fingerprint is not None:
            self.fault = not_the_given_key(self._target, algorithm, shown)
        elif self._recorded(host, addr, port):
            self.fault = changed_key(self._target, algorithm, shown)
        else:
            self.fault = unknown_host(self._target, algorithm, shown)
        return False

    def _recorded(self, host: str, addr: str, port: int) -> Sequence[asyncssh.SSHKey]:
        """The keys that the known hosts give this host."""
        return self.known.match(host, addr, None if port == DEFAULT_PORT else port)[0]


def _known_hosts(target: Target) -> asyncssh.SSHKnownHosts:
    """The file named, or ~/.ssh/known_hosts where there is one; empty beside a fingerprint."""
    named = target.known_hosts_file
    path = named or Path("~/.ssh/known_hosts").expanduser()
    if target.fingerprint is not None or (named is None and not path.exists()):
        return asyncssh.import_known_hosts("")
    try:
        return asyncssh.read_known_hosts(str(path))
    except (OSError, ValueError) as error:
        raise SshFault(
            "known_hosts_unreadable",
            f"{path}: 无法读取已知主机：{error}",
            f"{path}: the known hosts cannot be read: {error}",
        ) from error


def _private_key(path: Path) -> asyncssh.SSHKey:
    try:
        return asyncssh.read_private_key(str(path))
    except (OSError, asyncssh.KeyImportError) as error:
        raise SshFault(
            "key_file_unusable",
            f"{path}: 无法用作私钥：{error}\n"
            "  有口令的私钥请用 ssh-add 交给 ssh-agent，并去掉 --key",
            f"{path}: cannot be used as a private key: {error}\n"
            "  One with a passphrase goes to ssh-agent by ssh-add; then leave --key out",
        ) from error


# What asyncssh and the network raise, the more special kinds first.
_WORDS: tuple[tuple[tuple[type[Exception], ...], str, str, str], ...] = (
    (
        (asyncssh.PermissionDenied,),
        "login_refused",
        "{where} 不让 {user} 用手上的密钥登录；"
        "可用 ssh-copy-id 放入公钥，或用 --user、--key 换一个",
        "{where} does not let {user} in with the keys at hand; put one there by ssh-copy-id, or "
        "name others by --user and --key",
    ),
    (
        (asyncssh.HostKeyNotVerifiable,),
        "wrong_host_key",
        "{where} 出示的主机密钥不可信",
        "{where} shows a host key that must not be trusted",
    ),
    (
        (asyncssh.KeyExchangeFailed,),
        "key_exchange_failed",
        "与 {where} 没有共同的算法：那里的 SSH 太旧或设置特殊",
        "{where} shares no algorithm with us: its SSH is too old or set up in its own way",
    ),
    (
        (socket.gaierror, UnicodeError),
        "no_such_host",
        "找不到主机 {host}",
        "there is no host {host}",
    ),
    (
        (TimeoutError,),
        "timeout",
        "{where} 在 {patience:g} 秒内没有应答",
        "{where} did not answer within {patience:g} s",
    ),
    (
        (ConnectionRefusedError,),
        "connection_refused",
        "{where} 拒绝连接：那里没有 SSH 服务，或端口不对",
        "{where} refuses the connection: no SSH service stands there, or the port is another",
    ),
    (
        (asyncssh.ProtocolError, asyncssh.ProtocolNotSupported),
        "not_ssh",
        "{where} 说的 SSH 不合规矩",
        "{where} speaks SSH against its rules",
    ),
    (
        (asyncssh.ConnectionLost, asyncssh.ChannelOpenError, ConnectionError),
        "connection_lost",
        "与 {where} 的连接断了",
        "the connection with {where} was cut",
    ),
)
_OTHERWISE = ("unreachable", "无法与 {where} 通话", "{where} cannot be spoken to")


def _fault(target: Target, error: Exception, *, patience_s: float) -> SshFault:
    """What went wrong, in words, with the library's own behind."""
    code, zh, en = next(
        (tuple(words) for kinds, *words in _WORDS if isinstance(error, kinds)), _OTHERWISE
    )
    known = {"where": target.where, "host": target.host, "user": target.user}
    # The far side has a say in these words: it must not steer the terminal.
    said = "".join(letter for letter in str(error) if letter.isprintable())
    detail = f" ({said})" if said else ""
    return SshFault(
        code,
        zh.format(**known, patience=patience_s) + detail,
        en.format(**known, patience=patience_s),
    )
