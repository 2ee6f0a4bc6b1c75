"""The demonstration's folder: every configuration, key and password, made at the first run.

Secrets are random, never printed except the logins, and kept in files of mode 0600. A second run
finds them and goes on with the same books; ports and rates are written anew.
"""

import json
import os
import re
import secrets
import socket
import string
from dataclasses import dataclass
from pathlib import Path

from central.gateways.broker_rules import acl_text, password_line
from domain.wire.envelope import gateway_secret
from edge.meters import profile as profiles
from simulator.demo.plan import CELL_ID, PROFILE, SITE_ID, SITE_NAME, Plan

CENTRE_USER = "centre"
KEY_EPOCH = 1
ROLES = ("administrator", "supervisor", "cashier", "technician", "auditor")
_PASSWORD_LETTERS = "".join(c for c in string.ascii_lowercase + string.digits if c not in "0o1il")


@dataclass(frozen=True, slots=True)
class Folder:
    """Where everything of the demonstration is kept."""

    root: Path

    @property
    def central_toml(self) -> Path:
        return self.root / "central.toml"

    @property
    def campus_toml(self) -> Path:
        return self.root / "campus.toml"

    @property
    def broker_conf(self) -> Path:
        return self.root / "broker" / "mosquitto.conf"

    @property
    def broker_acl(self) -> Path:
        return self.root / "broker" / "acl"

    @property
    def logins(self) -> Path:
        return self.root / "logins.txt"

    @property
    def log_dir(self) -> Path:
        return self.root / "log"

    @property
    def ports_dir(self) -> Path:
        return self.root / "ports"

    @property
    def cut(self) -> Path:
        """While this file stands, the broker is down."""
        return self.root / "cut"

    def edge_toml(self, gateway_id: str) -> Path:
        return self.root / gateway_id / "edge.toml"

    def log(self, name: str) -> Path:
        return self.log_dir / f"{name}.log"


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports; kept over runs while they are free."""

    mqtt: int
    web: int


def prepare(folder: Folder, plan: Plan, *, web_port: int | None) -> Ports:
    """Make or renew everything that the processes read; returns the ports they will use."""
    for path in (folder.root, folder.log_dir, folder.ports_dir, folder.broker_conf.parent):
        path.mkdir(parents=True, exist_ok=True)
    folder.root.chmod(0o700)
    ports = _ports(folder, web_port)
    _central(folder, ports)
    _profiles(folder, plan)
    _campus(folder, plan)
    for building in plan.building_numbers():
        _gateway(folder, plan, plan.gateway_id(building), ports)
    _broker(folder, plan, ports)
    return ports


def logins(folder: Folder) -> dict[str, str]:
    """Login → password of each role, drawn at the first run and kept with mode 0600."""
    if not folder.logins.exists():
        drawn = {
            role: "-".join(
                "".join(secrets.choice(_PASSWORD_LETTERS) for _ in range(4)) for _ in range(3)
            )
            for role in ROLES
        }
        _private(folder.logins, "".join(f"{k} {v}\n" for k, v in drawn.items()).encode())
    return dict(line.split() for line in folder.logins.read_text().splitlines())


def _private(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
    path.chmod(0o600)


def _once(path: Path, content: bytes) -> bytes:
    """The content of a secret file, which is written only where there is none."""
    if not path.exists():
        _private(path, content)
    return path.read_bytes()


def is_free(port: int) -> bool:
    """Whether nothing listens on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ports(folder: Folder, web_port: int | None) -> Ports:
    kept = folder.root / "ports.json"
    before = json.loads(kept.read_text()) if kept.exists() else {}
    mqtt = before.get("mqtt", 0)
    web = web_port or before.get("web", 0)
    ports = Ports(
        mqtt=mqtt if mqtt and is_free(mqtt) else _any_port(),
        web=web if web and (web_port or is_free(web)) else _any_port(),
    )
    kept.write_text(json.dumps({"mqtt": ports.mqtt, "web": ports.web}) + "\n")
    return ports


def _toml(text: object) -> str:
    return json.dumps(str(text), ensure_ascii=False)  # a JSON string is a TOML string


def _central(folder: Folder, ports: Ports) -> None:
    _once(folder.root / "secrets" / "master.key", secrets.token_bytes(32))
    _once(folder.root / "secrets" / CENTRE_USER, secrets.token_urlsafe(24).encode())
    folder.central_toml.write_text(f"""\
[site]
name = {_toml(SITE_NAME)}
site_id = "{SITE_ID}"
cell_id = "{CELL_ID}"

[database]
url = "sqlite:///books.db"

[web]
port = {ports.web}

[mqtt]
port = {ports.mqtt}
username = "{CENTRE_USER}"
password_file = "secrets/{CENTRE_USER}"

[keys]
master_file = "secrets/master.key"

[state]
directory = "centre"
""")


def _profiles(folder: Folder, plan: Plan) -> None:
    """Copies of the shipped profiles whose P_max is scaled, so that fast rooms stay plausible.

    By the highest rate ever used here: a slower start still meets what was burnt before it.
    """
    kept = folder.root / "highest-rate"
    before = int(kept.read_text()) if kept.exists() else 1
    highest = max(before, plan.rate)
    kept.write_text(f"{highest}\n")
    for source in sorted(profiles.default_directory().glob("*.toml")):
        text = source.read_text(encoding="utf-8")
        scaled = re.sub(
            r"(?m)^(p_max_w\s*=\s*)([0-9_]+)",
            lambda match: f"{match[1]}{int(match[2]) * highest}",
            text,
        )
        target = folder.root / "profiles" / source.name
        target.parent.mkdir(exist_ok=True)
        target.write_text(scaled, encoding="utf-8")


def _campus(folder: Folder, plan: Plan) -> None:
    lines = [
        'state_dir = "meters"',
        'control = "campus.sock"',
        'profiles = "profiles"',
        f"seed = {plan.seed}",
        f"rate = {plan.rate}",
    ]
    if plan.load_csv is not None:
        lines.append(f"csv = {_toml(Path(plan.load_csv).resolve())}")
    for building in plan.building_numbers():
        lines += [
            "",
            "[[bus]]",
            f'building = "{plan.building_id(building)}"',
            f'id = "{plan.bus_id(building, 0)[:-1]}{{n}}"'
            if plan.buses > 1
            else f'id = "{plan.bus_id(building, 1)}"',
            f'link = "ports/{plan.bus_id(building, 0)[:-1]}{{n}}"'
            if plan.buses > 1
            else f'link = "ports/{plan.bus_id(building, 1)}"',
            f"repeat = {plan.buses}",
            f"meters = {plan.meters}",
            f'first_number = "{plan.meter_id(building, 0)}"',
            f'profile = "{PROFILE}"',
        ]
    folder.campus_toml.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _gateway(folder: Folder, plan: Plan, gateway_id: str, ports: Ports) -> None:
    master = (folder.root / "secrets" / "master.key").read_bytes()
    home = folder.root / gateway_id
    secret = gateway_secret(master, gateway_id, KEY_EPOCH)
    _private(home / "keys", f"{KEY_EPOCH} {secret.hex()}\n".encode())
    _once(home / "password", secrets.token_urlsafe(24).encode())
    folder.edge_toml(gateway_id).write_text(f"""\
cell_id = "{CELL_ID}"
gateway_id = "{gateway_id}"
state_dir = "state"
keys_file = "keys"
profiles_dir = "../profiles"

[broker]
host = "127.0.0.1"
port = {ports.mqtt}
password_file = "password"
""")


def _broker(folder: Folder, plan: Plan, ports: Ports) -> None:
    """mosquitto on loopback: a password for each user, a block of rights for each gateway."""
    home = folder.broker_conf.parent
    passwords = home / "passwords"
    gateway_ids = [plan.gateway_id(building) for building in plan.building_numbers()]
    users = {CENTRE_USER: folder.root / "secrets" / CENTRE_USER}
    users |= {gateway_id: folder.root / gateway_id / "password" for gateway_id in gateway_ids}
    lines = [
        password_line(u, path.read_text(), secrets.token_bytes(12)) for u, path in users.items()
    ]
    _private(passwords, "".join(lines).encode())
    rights = acl_text(gateway_ids, cell_id=CELL_ID, centre_user=CENTRE_USER)
    _private(folder.broker_acl, rights.encode())
    folder.broker_conf.write_text(f"""\
listener {ports.mqtt} 127.0.0.1
allow_anonymous false
password_file {passwords.resolve()}
acl_file {folder.broker_acl.resolve()}
persistence false
max_packet_size 70000
max_queued_messages 1000
log_dest stderr
log_type error
log_type warning
log_type notice
{"user root" if os.geteuid() == 0 else ""}
""")
