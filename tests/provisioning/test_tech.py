"""The technician's command against a real SSH server: what it sees, and how it refuses."""

import asyncio
import json
import platform
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from provisioning.__main__ import app
from provisioning.facts import QUESTIONS
from provisioning.ssh import ask
from provisioning.ssh_faults import SshFault, Target
from tests.provisioning.machines import PI_4
from tests.provisioning.sshd import Server, fingerprint, make_key, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    played = {"echo wattledger": "wattledger\n"}
    played |= {QUESTIONS[name]: answer for name, answer in PI_4.items()}
    with serving(tmp_path_factory.mktemp("sshd"), played=played) as running:
        running.known_hosts("known")
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A technician with nothing in ~/.ssh and no agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path


def look(server: Server, *more: str, key: str = "pi", known: str | None = "known") -> Result:
    words = ["facts", "127.0.0.1", "--port", str(server.port), "--user", server.user]
    words += ["--key", str(server.folder / key)]
    if known is not None:
        words += ["--known-hosts", str(server.folder / known)]
    return CliRunner().invoke(app, [*words, *more], env={"COLUMNS": "100"})


def sees(server: Server, *, known: Path | None = None, fingerprint: str | None = None) -> bool:
    """Whether the machine lets us in and we let it; it is asked nothing but the greeting."""
    target = Target(
        "127.0.0.1",
        server.user,
        port=server.port,
        key_file=server.folder / "pi",
        known_hosts_file=known,
        fingerprint=fingerprint,
    )
    return asyncio.run(ask(target, {}, patience_s=5)) == {}


def refused(result: Result) -> str:
    """What was said where nothing could be seen: words, no traceback, and nothing on stdout."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def test_a_pi_that_lacks_nothing(server: Server) -> None:
    result = look(server)
    assert result.exit_code == 0, result.output
    assert "Raspberry Pi 4 Model B Rev 1.5" in result.stdout
    assert "可以作为网关 / nothing stands in the way" in result.stdout


def test_this_very_machine_read_by_its_own_shell(server: Server) -> None:
    result = look(server, "--json", key="real")
    told = json.loads(result.stdout)
    assert told["facts"]["kernel"] == f"Linux {platform.release()}"
    assert told["facts"]["machine"] == platform.machine()
    assert told["facts"]["bits"] == 64
    assert told["facts"]["python"] is not None
    assert told["facts"]["disk_free_kib"] > 0
    assert told["facts"]["memory_total_kib"] > told["facts"]["memory_available_kib"] > 0
    blocking = any(finding["blocks"] for finding in told["findings"])
    assert told["blocked"] is blocking
    assert result.exit_code == int(blocking)


def test_an_unknown_host_is_refused_with_its_fingerprint_shown(server: Server) -> None:
    words = refused(look(server, known=None))
    assert f"未知主机。它出示的密钥是 ssh-ed25519 {server.fingerprint}" in words
    assert f"add: --host-key {server.fingerprint}" in words
    assert "itself: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in words


def test_a_host_is_not_remembered_because_it_was_seen(server: Server, home: Path) -> None:
    refused(look(server, known=None))
    assert "未知主机" in refused(look(server, known=None))
    assert list(home.iterdir()) == []


def test_the_fingerprint_opens_the_door(server: Server) -> None:
    assert sees(server, fingerprint=server.fingerprint)


def test_the_usual_known_hosts_file_counts(server: Server, home: Path) -> None:
    (home / ".ssh").mkdir()
    known = server.known_hosts("usual").read_text()
    (home / ".ssh" / "known_hosts").write_text(known)
    assert sees(server)


def test_another_fingerprint_wins_over_a_known_host(server: Server) -> None:
    other = fingerprint(server.folder / "stranger.pub")
    words = refused(look(server, "--host-key", other))
    assert f"does not show the given key {other} but ssh-ed25519 {server.fingerprint}" in words


def test_a_host_whose_key_changed(server: Server) -> None:
    server.known_hosts("changed", key="stranger")
    words = refused(look(server, known="changed"))
    assert "出示的密钥与已知主机记录不符" in words
    assert server.fingerprint in words
    assert "--host-key" not in words, "a changed key is not to be waved through"


def test_a_host_whose_key_changed_in_kind(server: Server) -> None:
    make_key(server.folder / "elliptic", kind="ecdsa", bits=384)
    server.known_hosts("kind", key="elliptic")
    words = refused(look(server, known="kind"))
    assert f"another key than the known hosts record: ssh-ed25519 {server.fingerprint}" in words


def test_a_host_known_by_its_less_usual_key(server: Server) -> None:
    """It would show its first kind of key; the one on record is asked for instead."""
    assert sees(server, known=server.known_hosts("second", key="host-ecdsa"))


def test_a_revoked_host_key(server: Server) -> None:
    revoked = server.folder / "revoked"
    revoked.write_text(f"@revoked * {(server.folder / 'host.pub').read_text()}")
    assert "shows a host key that must not be trusted" in refused(look(server, known="revoked"))


def test_a_key_the_host_does_not_know(server: Server) -> None:
    words = refused(look(server, key="unknown"))
    assert f"does not let {server.user} in with the keys at hand" in words


def test_no_key_at_hand(server: Server) -> None:
    words = ["facts", "127.0.0.1", "--port", str(server.port), "--host-key", server.fingerprint]
    assert "does not let pi in" in refused(CliRunner().invoke(app, words))


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), ("no key\n", "无法用作私钥")],
)
def test_a_key_file_that_is_none(server: Server, content: str | None, said: str) -> None:
    path = server.folder / "not-a-key"
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_text(content)
    words = refused(look(server, key="not-a-key"))
    assert said in words
    assert str(path) in words


def test_a_key_under_a_passphrase(server: Server) -> None:
    make_key(server.folder / "locked", passphrase="long enough")
    assert "ssh-add" in refused(look(server, key="locked"))


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), ("@wrong x y\n", "wrong")])
def test_known_hosts_that_cannot_be_read(server: Server, content: str | None, said: str) -> None:
    path = server.folder / "known-not"
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_text(content)
    words = refused(look(server, known="known-not"))
    assert said in words
    assert str(path) in words


def test_an_account_that_runs_no_commands(server: Server) -> None:
    assert "runs no commands" in refused(look(server, key="mute"))


def test_a_machine_that_does_not_answer_in_time(server: Server) -> None:
    words = refused(look(server, "--timeout", "0.5", key="sleeper"))
    assert "did not answer within 0.5 s" in words


def test_a_machine_that_dies_while_it_is_looked_at(server: Server) -> None:
    """The connection is cut by the far side: its process is killed in mid-question."""
    target = Target(
        "127.0.0.1",
        server.user,
        port=server.port,
        key_file=server.folder / "real",
        known_hosts_file=server.folder / "known",
    )
    # the shell's parent is the process that serves this connection
    questions = {"model": "kill -KILL $PPID"}
    with pytest.raises(SshFault) as caught:
        asyncio.run(ask(target, questions, patience_s=5))
    assert caught.value.code == "connection_lost"


def test_nobody_listens(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = refused(look(server, "--port", str(port)))
    assert f"127.0.0.1:{port} refuses the connection" in words


def test_a_name_that_is_no_host(server: Server) -> None:
    result = CliRunner().invoke(app, ["facts", "a..b", "--key", str(server.folder / "pi")])
    assert "找不到主机 a..b" in refused(result)


@pytest.mark.parametrize(
    ("greeting", "said"),
    [
        (None, "did not answer within 0.5 s"),
        (b"HTTP/1.1 400 Bad\x1b[2J\r\n\r\n", "hung up before it spoke SSH"),
    ],
)
def test_something_else_listens(server: Server, greeting: bytes | None, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            peer, _ = other.accept()
            with peer:
                if greeting is not None:
                    peer.sendall(greeting)
                peer.recv(1024)
                while greeting is None and peer.recv(1024):
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        words = refused(look(server, "--timeout", "0.5", "--port", str(other.getsockname()[1])))
        thread.join()
    assert said in words
    assert "\x1b" not in words


def test_a_fault_for_scripts(server: Server) -> None:
    result = look(server, "--json", known=None)
    assert result.exit_code == 2
    told = json.loads(result.stdout)
    assert told["host"] == "127.0.0.1"
    assert told["error"]["code"] == "unknown_host"
    assert server.fingerprint in told["error"]["en"]


@pytest.mark.parametrize(
    "words",
    [
        ["facts"],
        ["facts", "pi.local", "--port", "70000"],
        ["facts", "pi.local", "--host-key", "aa:bb:cc"],
        ["facts", "pi.local", "--host-key", "SHA256:short"],
        ["fatcs", "pi.local"],
    ],
)
def test_what_is_typed_wrong_is_refused_before_anything_happens(words: list[str]) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "Usage" in result.stderr


def test_nothing_typed_reaches_a_shell(server: Server, home: Path) -> None:
    """Names that would be commands, had they been pasted into one."""
    bait = home / "bait"
    for word in (f"$(touch {bait})", f"x; touch {bait}", f"-oProxyCommand=touch {bait}"):
        result = look(server, "--user", word)
        assert result.exit_code == 2, result.output
        result = CliRunner().invoke(app, ["facts", "--timeout", "1", "--", word])
        assert result.exit_code == 2, result.output
    assert not bait.exists()


def test_the_command_as_installed(server: Server) -> None:
    command = [str(Path(sys.executable).with_name("wattledger-tech")), "facts", "127.0.0.1"]
    command += ["--port", str(server.port), "--user", server.user]
    command += ["--key", str(server.folder / "pi"), "--host-key", server.fingerprint]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Debian GNU/Linux 12 (bookworm)" in done.stdout
    assert "\x1b" not in done.stdout, "no colour where it goes into a file"


def _as_from_a_terminal() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_leaves_without_a_traceback(server: Server) -> None:
    command = [sys.executable, "-m", "provisioning", "facts", "127.0.0.1"]
    command += ["--port", str(server.port), "--user", server.user]
    command += ["--key", str(server.folder / "sleeper"), "--host-key", server.fingerprint]
    server.forget()
    # Whoever started the tests in the background may have had Ctrl-C ignored; a terminal has not.
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=_as_from_a_terminal
    ) as running:
        server.says("Accepted publickey")
        running.send_signal(signal.SIGINT)
        _, words = running.communicate(timeout=10)
    assert running.returncode not in (0, 1)
    assert "Traceback" not in words
