"""Speaks SSH with one machine. The only module that knows asyncssh.

A host is believed when its key stands in the known_hosts file or has the fingerprint that was
given; nothing is ever trusted because it was seen first. Signing in is by key only. Settings of
~/.ssh/config do not count: what was typed is what happens.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh

DEFAULT_PORT = 22
# Every kind of plain host key; certificates of hosts are not looked at.
_KINDS = (
    *("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("rsa-sha2-512", "rsa-sha2-256"),
)
# Said by the far side before anything it says is taken for a fact.
_GREETING = "wattledger"


class SshFault(Exception):  # noqa: N818 - faults are called faults throughout
    """The machine could not be looked at. `code` for scripts; why and what to do in both words."""

    def __init__(self, code: str, zh: str, en: str) -> None:
        super().__init__(f"{zh} / {en}")
        self.code, self.zh, self.en = code, zh, en


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to speak to. `fingerprint` (SHA256:…), where given, is the only key believed; without
    `key_file` the agent and the usual files under ~/.ssh are tried."""

    host: str
    user: str
    port: int = DEFAULT_PORT
    key_file: Path | None = None
    known_hosts_file: Path | None = None
    fingerprint: str | None = None


async def ask(target: Target, questions: Mapping[str, str], *, patience_s: float) -> dict[str, str]:
    """What each command prints, by its name; a command that fails is left out.

    Each step (signing in, every command) has `patience_s` seconds. Raises SshFault.
    """
    connection = await _connect(target, patience_s=patience_s)
    try:
        greeting = await _run(connection, f"echo {_GREETING}", patience_s=patience_s)
        # The last line: some accounts greet everybody who comes in.
        if greeting is None or greeting.split()[-1:] != [_GREETING]:
            raise _no_shell(target)
        answers = {}
        for name, command in questions.items():
            printed = await _run(connection, command, patience_s=patience_s)
            if printed is not None:
                answers[name] = printed
    except (OSError, asyncssh.Error) as error:
        connection.abort()  # a peer that fell silent would not say good-bye either
        raise _fault(target, error, patience_s=patience_s) from error
    finally:
        connection.close()
        await connection.wait_closed()
    return answers


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
            raise _not_ssh(target) from error
        raise judge.fault or _fault(target, error, patience_s=patience_s) from error
    except (OSError, UnicodeError, asyncssh.Error) as error:
        raise judge.fault or _fault(target, error, patience_s=patience_s) from error


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
            self.fault = _not_the_given_key(self._target, algorithm, shown)
        elif self._recorded(host, addr, port):
            self.fault = _changed_key(self._target, algorithm, shown)
        else:
            self.fault = _unknown_host(self._target, algorithm, shown)
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


def _unknown_host(target: Target, algorithm: str, shown: str) -> SshFault:
    where = _where(target)
    return SshFault(
        "unknown_host",
        f"{where} 是未知主机。它出示的密钥是 {algorithm} {shown}\n"
        "  请在那台机器上核对：ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\n"
        f"  一致才加上：--host-key {shown}",
        f"{where} is not a known host. It shows the key {algorithm} {shown}\n"
        "  Compare on that machine itself: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\n"
        f"  Only if it is the same, add: --host-key {shown}",
    )


def _changed_key(target: Target, algorithm: str, shown: str) -> SshFault:
    where = _where(target)
    return SshFault(
        "wrong_host_key",
        f"{where} 出示的密钥与已知主机记录不符：{algorithm} {shown}\n"
        "  可能有人冒充它，也可能重装过系统。核对之前不要继续。",
        f"{where} shows another key than the known hosts record: {algorithm} {shown}\n"
        "  Somebody may stand in its place, or its system was installed anew. Do not go on before "
        "you know.",
    )


def _not_the_given_key(target: Target, algorithm: str, shown: str) -> SshFault:
    where = _where(target)
    return SshFault(
        "wrong_host_key",
        f"{where} 出示的密钥不是给定的 {target.fingerprint}，而是 {algorithm} {shown}",
        f"{where} does not show the given key {target.fingerprint} but {algorithm} {shown}",
    )


def _where(target: Target) -> str:
    return target.host if target.port == DEFAULT_PORT else f"{target.host}:{target.port}"


def _no_shell(target: Target) -> SshFault:
    where = _where(target)
    return SshFault(
        "no_shell",
        f"{where} 让 {target.user} 登录，但不执行命令",
        f"{where} lets {target.user} in but runs no commands",
    )


def _not_ssh(target: Target) -> SshFault:
    where = _where(target)
    return SshFault(
        "not_ssh",
        f"{where} 未说 SSH 就挂断了：端口对吗？",
        f"{where} hung up before it spoke SSH: is this its port?",
    )


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
    known = {"where": _where(target), "host": target.host, "user": target.user}
    # The far side has a say in these words: it must not steer the terminal.
    said = "".join(letter for letter in str(error) if letter.isprintable())
    detail = f" ({said})" if said else ""
    return SshFault(
        code,
        zh.format(**known, patience=patience_s) + detail,
        en.format(**known, patience=patience_s),
    )
