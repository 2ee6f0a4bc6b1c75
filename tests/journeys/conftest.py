"""What the journeys run on: the wheel as it would be installed, and a campus of real processes."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
BUILD = ROOT / "build"


@pytest.fixture(scope="session")
def wheel_python() -> Path:
    """A Python in which wattledger is installed from its wheel, not from the checkout.

    The libraries are those of the test environment; built once for all workers of a run.
    """
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        python = BUILD / "venv" / "bin" / "python"
        built_from = BUILD / "built-from"
        sources = _sources()
        if not python.exists() or not built_from.exists() or built_from.read_text() != sources:
            _install(python)
            built_from.write_text(sources)
    return python


def _sources() -> str:
    """The names and times of everything the wheel is made of."""
    packages = ("domain", "edge", "central", "provisioning", "simulator", "mqtt-schemas", "systemd")
    files = [path for name in packages for path in (ROOT / name).rglob("*") if path.is_file()]
    files = [path for path in files if "__pycache__" not in path.parts]
    stamped = [
        f"{p.relative_to(ROOT)} {p.stat().st_mtime_ns}"
        for p in files
        if "node_modules" not in p.parts
    ]
    return "\n".join(sorted([*stamped, str((ROOT / "pyproject.toml").stat().st_mtime_ns)]))


def _install(python: Path) -> None:
    wheels = BUILD / "wheel"
    for old in wheels.glob("*.whl"):
        old.unlink()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run(*pip, "wheel", "--no-build-isolation", "--no-deps", "-w", str(wheels), str(ROOT))
    _run(sys.executable, "-m", "venv", "--clear", "--without-pip", str(BUILD / "venv"))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = BUILD / "venv" / "lib" / version / "site-packages"
    # A plain path entry: the libraries are found there, the checkout's own .pth is not followed.
    libraries = Path(sys.prefix) / "lib" / version / "site-packages"
    (packages / "libraries.pth").write_text(f"{libraries}\n")
    (wheel,) = wheels.glob("*.whl")
    _run(*pip, "--python", str(python), "install", "--no-deps", "--force-reinstall", str(wheel))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
