"""`make nightly`: everything that takes too long for every change, in parts that can be resumed.

Each part runs once per state of the tree; its output is kept in .nightly/ and quoted again without
running. A part that failed runs again. `python -m tests.nightly PART…` runs only these.
"""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
KEPT = ROOT / ".nightly"
SEEDS, SEEDS_A_PART = 20_000, 2_500

Command = list[str]


def parts() -> dict[str, Command]:
    """Every part by name."""
    python = sys.executable
    found: dict[str, Command] = {}
    for first in range(0, SEEDS, SEEDS_A_PART):
        found[f"credit-model-{first:05d}"] = [
            python, "-m", "simulator.world.credit_world",
            "--from-seed", str(first), "--seeds", str(SEEDS_A_PART),
        ]  # fmt: skip
    return found


def tree() -> str:
    """A fingerprint of all sources, so that a result speaks of the tree it was made from."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    digest = hashlib.sha256()
    for name in sorted(name for name in listed if name.endswith(".py")):
        digest.update(name.encode() + b"\0" + (ROOT / name).read_bytes())
    return digest.hexdigest()[:16]


def run(name: str, command: Command, state: str) -> bool:
    """Run one part, or quote its result for this tree; whether it went well."""
    kept = KEPT / f"{name}.json"
    if kept.exists():
        before = json.loads(kept.read_text())
        if before["tree"] == state and before["code"] == 0:
            sys.stdout.write(f"{name}: kept: {before['output'].strip()}\n")
            return True
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    seconds = round(time.monotonic() - began)
    kept.write_text(json.dumps({"tree": state, "code": done.returncode, "output": output}))
    word = "ok" if done.returncode == 0 else f"FAILED ({done.returncode})"
    sys.stdout.write(f"{name}: {word} in {seconds} s: {output.strip()}\n")
    sys.stdout.flush()
    return done.returncode == 0


def main() -> int:
    """Run the parts named, or all."""
    KEPT.mkdir(exist_ok=True)
    known = parts()
    wanted = sys.argv[1:] or list(known)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        sys.stderr.write(f"no such part: {', '.join(unknown)}; there are {', '.join(known)}\n")
        return 2
    state = tree()
    results = [run(name, known[name], state) for name in wanted]
    sys.stdout.write(f"{sum(results)} passed, {len(results) - sum(results)} failed\n")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
