"""wattledger-central serve | migrate | add-operator | audit --config central.toml

Ends with 0 when all is well, 2 when it could not do what was asked; `audit` ends with 1 when it
found differences.
"""

import argparse
import asyncio
import getpass
import logging
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from central import app, migrations, reconcile
from central.database import Database, StorageFault
from central.people import service as people
from central.people.service import NewOperator
from central.permissions import Role
from central.security import Actor, Passwords, password_refusal
from central.settings import Settings, SettingsFault, load
from central.words import AssetsMissingFault
from domain.refusals import Refusal


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    asked = _parser().parse_args(arguments)
    try:
        settings = load(asked.config, os.environ, secrets=asked.command == "serve")
        _logging(settings)
        code: int = asyncio.run(asked.run(settings, asked))
    except SettingsFault as fault:
        return _fail("\n".join(fault.faults))
    except (StorageFault, AssetsMissingFault, OSError) as fault:
        return _fail(str(fault))
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wattledger-central", description="the office 管理中心")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run, meaning in (
        ("serve", _serve, "run the office 运行"),
        ("migrate", _migrate, "bring the database up to date 升级数据库"),
        ("add-operator", _add_operator, "add somebody who can sign in 添加操作员"),
        ("audit", _audit, "recompute every balance and compare 审计"),
    ):
        command = commands.add_parser(name, help=meaning, description=meaning)
        command.add_argument("--config", type=Path, required=True, metavar="central.toml")
        command.set_defaults(run=run)
        if name == "audit":
            command.add_argument("--json", action="store_true", help="for machines 机器可读")
        if name == "add-operator":
            command.add_argument("--login", required=True)
            command.add_argument("--name", required=True)
            command.add_argument("--role", required=True, choices=[role.value for role in Role])
            command.add_argument(
                "--generate", action="store_true", help="make a password and print it once"
            )
    return parser


async def _serve(settings: Settings, asked: argparse.Namespace) -> int:
    app.collect_seldom()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await app.serve(settings, stop=stop, announce=lambda address: _say(f"serving {address}"))
    return 0


async def _migrate(settings: Settings, asked: argparse.Namespace) -> int:
    async with await Database.open(settings.database.url, access="migrate") as database:
        steps = await database.write(migrations.upgrade)
    _say("\n".join(steps) if steps else "already up to date 已是最新")
    return 0


async def _add_operator(settings: Settings, asked: argparse.Namespace) -> int:
    password = secrets.token_urlsafe(12) if asked.generate else _typed_password()
    refusal = password_refusal(password, login=asked.login)
    if refusal is not None:
        return _fail_refused(refusal)
    passwords = Passwords()
    new = NewOperator(
        operator_id=app.new_id(),
        login=asked.login,
        name=asked.name,
        role=asked.role,
        password_hash=await passwords.hash(password),
    )
    passwords.close()
    actor = Actor("command-line", getpass.getuser(), None, "command line")
    async with await Database.open(settings.database.url, access="visit") as database:
        await app.refuse_unmigrated(database)
        refusal = await database.write(people.add_operator, actor, new, now_ms=app.now_ms())
    if refusal is not None:
        return _fail_refused(refusal)
    _say(f"{people.login_key(asked.login)} {password}" if asked.generate else "ok")
    return 0


async def _audit(settings: Settings, asked: argparse.Namespace) -> int:
    async with await Database.open(settings.database.url, access="read") as database:
        await app.refuse_unmigrated(database)
        return await reconcile.run(
            database,
            now_ms=app.now_ms(),
            say=_say,
            as_json=asked.json,
            offset_min=settings.site.offset_min,
        )


def _typed_password() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("password 密码: ")
    return sys.stdin.readline().rstrip("\n")


def _logging(settings: Settings) -> None:
    level = logging.getLevelName(settings.log.level.upper())
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer() if not os.isatty(2) else
            structlog.dev.ConsoleRenderer(),
        ],
    )  # fmt: skip


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _fail(text: str) -> int:
    sys.stderr.write(text + "\n")
    return 2


def _fail_refused(refusal: Refusal) -> int:
    return _fail(f"{refusal.zh} {refusal.en}")


if __name__ == "__main__":
    sys.exit(main())
