"""The house tidies itself: each rule is a test whose message says what to do instead and why."""

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("domain", "edge", "central", "provisioning", "simulator")
# Only these may take the real clock, chance and processes: everything else gets them as arguments.
CONSTRUCTORS = {"edge/app.py", "central/app.py"}
SURPRISES = {
    "time.time": "take `now_ms` or a Stamp as an argument",
    "time.time_ns": "take `now_ms` or a Stamp as an argument",
    "time.sleep": "await an event; a sleeping thread answers nobody",
    "datetime.now": "take `now_ms` as an argument",
    "datetime.utcnow": "take `now_ms` as an argument",
    "date.today": "take `now_ms` and a Zone as arguments",
    "os.urandom": "take `random_bytes` as an argument",
    "secrets.token_bytes": "take `random_bytes` as an argument",
    "secrets.token_hex": "take `random_bytes` as an argument",
    "secrets.token_urlsafe": "take `random_bytes` as an argument",
    "uuid.uuid4": "take an IdSource as an argument",
    "asyncio.create_task": "use the application's task group, so that no failure is lost",
}
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "core"}


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in tracked(*(f"{package}/*.py" for package in PACKAGES)):
        name = str(path.relative_to(ROOT))
        yield name, ast.parse(path.read_text(encoding="utf-8"), name)


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def test_the_clock_and_chance_come_as_arguments() -> None:
    found = []
    for name, tree in sources():
        if name in CONSTRUCTORS or name.endswith("__main__.py") or name.startswith("simulator/"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                call = ".".join(dotted(node.func).split(".")[-2:])
                if call in SURPRISES:
                    found.append(f"{name}:{node.lineno} {call}: {SURPRISES[call]}")
    assert not found, "\n".join(found)


def test_domain_reads_no_clock_and_opens_nothing() -> None:
    banned = {"open", "print", "input", "exec", "eval"}
    found = [
        f"{name}:{node.lineno} {node.func.id}()"
        for name, tree in sources()
        if name.startswith("domain/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in banned
    ]
    assert not found, f"the rules act on values only: {found}"


def test_file_names_say_what_is_inside() -> None:
    vague = [str(path) for path in tracked("*.py") if path.stem in VAGUE]
    assert not vague, f"name these files after the noun they hold: {vague}"


def test_every_module_says_what_it_is_for() -> None:
    silent = [name for name, tree in sources() if tree.body and not ast.get_docstring(tree)]
    assert not silent, f"begin these files with a docstring that says what they do: {silent}"


def test_every_test_can_fail() -> None:
    idle = []
    for path in tracked("tests/*.py"):
        if not path.name.startswith("test_"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.dump(node)
                words = ("Assert(", "raises", "assert_", "expect", "check", "fail")
                if node.name.startswith("test") and not any(word in text for word in words):
                    idle.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert not idle, f"nothing is asserted in: {idle}"


def test_the_users_packages_are_named_directly() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = " ".join(
        [*extras["dependencies"], *(" ".join(v) for v in extras["optional-dependencies"].values())]
    )
    wanted = ["pymodbus", "pyserial", "paho-mqtt", "aiomqtt", "tinydb", "pycryptodome", "aiohttp"]
    wanted += ["gpiozero", "python-gsmmodem-new"]
    missing = [name for name in wanted if name not in named]
    assert not missing, f"pyproject.toml must name these itself: {missing}"


def test_every_dependency_is_pinned_and_justified() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    names = {re.split(r"[\[<>=;~]", line)[0].strip().lower() for line in lines} - {"wattledger"}
    pinned = {
        line.split("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    decisions = (ROOT / "docs" / "DECISIONS.md").read_text().lower()
    assert names <= pinned, f"pin these in constraints.txt: {sorted(names - pinned)}"
    silent = sorted(name for name in names if f"`{name}`" not in decisions)
    assert not silent, f"say in docs/DECISIONS.md in one line why each is used: {silent}"


def test_lock_files_hold_no_addresses() -> None:
    lock = json.loads((ROOT / "central/frontend/package-lock.json").read_text())
    resolved = [name for name, entry in lock["packages"].items() if "resolved" in entry]
    assert not resolved, f"npm must omit resolved addresses (see .npmrc): {resolved}"
    addresses = re.findall(r"https?://\S+|--index\S*", (ROOT / "constraints.txt").read_text())
    assert not addresses, f"a constraints file names versions only: {addresses}"


def test_nothing_of_this_machine_is_in_the_tree() -> None:
    # Put together here so that this file does not find itself.
    hosts = ["pypi" + ".org", "npmjs" + ".org", "pythonhosted" + ".org", "/wo" + "rk/main"]
    found = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in tracked()
        if path.suffix in {".py", ".md", ".toml", ".txt", ".json", ".sh", ".html", ".js", ""}
        for host in hosts
        if host in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert not found, f"no registry host and no path of a machine belongs in the tree: {found}"
