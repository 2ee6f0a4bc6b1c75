"""`wattledger-tech`: the technician's command. First facts, then a plan, then to apply it.

wattledger-tech facts HOST      what a machine is, and what stands in the way of a gateway

Exit codes: 0 nothing blocks, 1 something blocks, 2 could not look.
"""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from provisioning import report
from provisioning.facts import QUESTIONS, parse
from provisioning.findings import findings
from provisioning.ssh import ask
from provisioning.ssh_faults import SshFault, Target

app = typer.Typer(
    help="现场安装 / the technician: from a blank Raspberry Pi to a gateway",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _commands() -> None:
    """Keeps `facts` a command of its own while it is the only one."""


def _fingerprint(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", text):
        raise typer.BadParameter(
            "应形如 SHA256:…（43 个字符） / write SHA256: and 43 characters, as ssh-keygen -l does"
        )
    return text


@app.command()
def facts(
    host: Annotated[str, typer.Argument(metavar="HOST", help="主机名或地址 / name or address")],
    user: Annotated[str, typer.Option(help="登录名 / who signs in")] = "pi",
    port: Annotated[int, typer.Option(min=1, max=65535, help="SSH 端口 / SSH port")] = 22,
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="私钥，默认用 ssh-agent 与 ~/.ssh / private key"),
    ] = None,
    known_hosts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="已知主机，默认 ~/.ssh/known_hosts / known hosts"),
    ] = None,
    host_key: Annotated[
        str | None,
        typer.Option(
            metavar="SHA256:…",
            callback=_fingerprint,
            help="只信任此指纹的主机密钥 / believe only the host key of this fingerprint",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=600, help="每一步最多等几秒 / seconds for each step")
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON")] = False,
) -> None:
    """看一台机器：是什么，离网关还差什么 / Look at a machine: what it is, what a gateway lacks.

    退出码 exit code: 0 无阻碍 nothing blocks; 1 有阻碍 something blocks;
    2 无法查看 could not look.
    """
    target = Target(
        host, user, port=port, key_file=key, known_hosts_file=known_hosts, fingerprint=host_key
    )
    try:
        seen = parse(asyncio.run(ask(target, QUESTIONS, patience_s=timeout)))
    except SshFault as fault:
        _could_not_look(host, fault, as_json=as_json)
        raise typer.Exit(2) from fault
    found = findings(seen)
    if as_json:
        _print_json(report.as_value(host, seen, found))
    else:
        report.show(Console(highlight=False), host, seen, found)
    raise typer.Exit(int(any(finding.blocks for finding in found)))


def _could_not_look(host: str, fault: SshFault, *, as_json: bool) -> None:
    if as_json:
        _print_json({"host": host, "error": {"code": fault.code, "zh": fault.zh, "en": fault.en}})
    else:
        typer.echo(f"{fault.zh}\n{fault.en}", err=True)


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def main() -> None:
    """The command."""
    app()


if __name__ == "__main__":
    main()
