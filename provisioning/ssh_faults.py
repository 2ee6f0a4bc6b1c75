"""Why a machine could not be looked at, in words: what happened, and what to do.

Nothing here waves a stranger through: an unknown key is shown so that it can be compared, a changed
one is shown and that is all.
"""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_PORT = 22


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

    @property
    def where(self) -> str:
        """The host as written, with its port where that is not the usual one."""
        return self.host if self.port == DEFAULT_PORT else f"{self.host}:{self.port}"


def unknown_host(target: Target, algorithm: str, shown: str) -> SshFault:
    """Nobody vouches for the key shown; says how to compare it on the machine itself."""
    kind = algorithm.removeprefix("ssh-").split("-")[0]
    compare = f"ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub"
    return SshFault(
        "unknown_host",
        f"{target.where} 是未知主机。它出示的密钥是 {algorithm} {shown}\n"
        f"  请在那台机器上核对：{compare}\n"
        f"  一致才加上：--host-key {shown}",
        f"{target.where} is not a known host. It shows the key {algorithm} {shown}\n"
        f"  Compare on that machine itself: {compare}\n"
        f"  Only if it is the same, add: --host-key {shown}",
    )


def changed_key(target: Target, algorithm: str, shown: str) -> SshFault:
    """The known hosts record another key."""
    return SshFault(
        "wrong_host_key",
        f"{target.where} 出示的密钥与已知主机记录不符：{algorithm} {shown}\n"
        "  可能有人冒充它，也可能重装过系统。核对之前不要继续。",
        f"{target.where} shows another key than the known hosts record: {algorithm} {shown}\n"
        "  Somebody may stand in its place, or its system was installed anew. Do not go on before "
        "you know.",
    )


def not_the_given_key(target: Target, algorithm: str, shown: str) -> SshFault:
    """The fingerprint that was given is another."""
    return SshFault(
        "wrong_host_key",
        f"{target.where} 出示的密钥不是给定的 {target.fingerprint}，而是 {algorithm} {shown}",
        f"{target.where} does not show the given key {target.fingerprint} but {algorithm} {shown}",
    )


def no_shell(target: Target) -> SshFault:
    """Signed in, but the greeting did not come back."""
    return SshFault(
        "no_shell",
        f"{target.where} 让 {target.user} 登录，但不执行命令",
        f"{target.where} lets {target.user} in but runs no commands",
    )


def not_ssh(target: Target) -> SshFault:
    """Cut before the far side said which SSH it speaks."""
    return SshFault(
        "not_ssh",
        f"{target.where} 未说 SSH 就挂断了：端口对吗？",
        f"{target.where} hung up before it spoke SSH: is this its port?",
    )
