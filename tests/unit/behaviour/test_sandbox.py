"""What a sandbox does for whoever runs an agent in it: commands, the shell, files, limits, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sandbox_fixture import Box, needs_sandbox

from auditkit.behaviour.sandbox.sandbox import Sandbox
from auditkit.behaviour.sandbox.stage import File, Limits, StageSpec
from auditkit.errors import InvalidInput, SandboxError

MIB = 1 << 20


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with Box(StageSpec(files={"/srv/data.txt": File(content=b"data\n")})) as opened:
        yield opened


def small(**limits: float) -> StageSpec:
    return StageSpec(limits=Limits(**limits))  # type: ignore[arg-type]


# --- programs -----------------------------------------------------------------------------------


def test_a_program_gives_output_and_exit_code(box: Box) -> None:
    result = box.exec("bash", "-c", "echo out; echo err >&2; exit 7")
    assert (result.returncode, result.stdout, result.stderr) == (7, b"out\n", b"err\n")


def test_a_program_gets_input_folder_and_variables(box: Box) -> None:
    result = box.exec(
        "bash", "-c", "cat; pwd; echo $X", input=b"\0\xff in", cwd="/tmp", env={"X": "é"}
    )
    assert result.stdout == b"\0\xff in/tmp\n\xc3\xa9\n"


def test_a_relative_folder_is_below_the_stages(box: Box) -> None:
    box.exec("mkdir", "-p", "/workspace/deep")
    assert box.exec("pwd", cwd="deep").stdout == b"/workspace/deep\n"


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (["no-such-program"], 127, "No such file"),
        (["/srv/data.txt"], 126, "Permission denied"),
        (["/srv"], 126, "Permission denied"),
    ],
)
def test_what_cannot_be_started_says_why(
    box: Box, command: list[str], code: int, said: str
) -> None:
    result = box.exec(*command)
    assert result.returncode == code
    assert said in result.stderr.decode()


def test_a_folder_that_is_not_there_says_so(box: Box) -> None:
    assert box.exec("true", cwd="/nowhere").returncode == 127


def test_a_program_that_was_killed_says_by_what(box: Box) -> None:
    assert box.exec("bash", "-c", "kill -9 $$").returncode == -9


def test_a_program_that_never_ends_is_ended(box: Box) -> None:
    result = box.exec("bash", "-c", "echo first; sleep 100", timeout_s=0.5)
    assert result.timed_out
    assert result.stdout == b"first\n"
    assert 0.4 < result.duration_s < 5
    assert box.exec("pgrep", "sleep").returncode == 1


def test_a_program_that_closes_everything_is_ended(box: Box) -> None:
    assert box.exec("bash", "-c", "exec <&- >&- 2>&-; sleep 100", timeout_s=0.5).timed_out


def test_a_program_that_ignores_its_input_takes_its_time(box: Box) -> None:
    assert box.exec("bash", "-c", "exec <&-; echo ok", input=bytes(MIB)).stdout == b"ok\n"


def test_output_is_bounded(box: Box) -> None:
    result = box.exec("head", "-c", str(5 * MIB), "/dev/zero")
    assert result.ok
    assert len(result.stdout) == MIB
    assert result.stdout_bytes == 5 * MIB
    assert result.truncated


def test_a_flood_is_stopped(box: Box) -> None:
    result = box.exec("yes")
    assert result.flooded
    assert not result.ok
    assert box.sandbox.alive


def test_background_processes_stay(box: Box) -> None:
    assert box.exec("bash", "-c", "sleep 987 & echo started").stdout == b"started\n"
    assert box.exec("pgrep", "-f", "sleep 987").ok
    box.exec("pkill", "-f", "sleep 987")


def test_orphans_are_buried(box: Box) -> None:
    box.exec("bash", "-c", "for i in 1 2 3; do (sleep 0.1 &) ; done")
    box.sleep(0.5)
    assert b"defunct" not in box.exec("ps", "aux").stdout


def test_many_at_once(box: Box) -> None:
    async def all_of_them() -> list[bytes]:
        results = await asyncio.gather(*(box.sandbox.exec(["echo", str(i)]) for i in range(40)))
        return [r.stdout for r in results]

    assert box.wait(all_of_them()) == [b"%d\n" % i for i in range(40)]


def test_words_that_no_program_can_be_given_are_refused(box: Box) -> None:
    for command in ([], ["a\0b"]):
        with pytest.raises(InvalidInput):
            box.exec(*command)
    with pytest.raises(InvalidInput):
        box.shell("echo \0")


# --- the shell ----------------------------------------------------------------------------------


def test_the_shell_keeps_folder_variables_functions_and_status(box: Box) -> None:
    box.shell("cd /tmp; x=5; f() { echo f$1; }; export Y=6")
    assert box.shell("pwd; echo $x; f 1; bash -c 'echo $Y'").stdout == b"/tmp\n5\nf1\n6\n"
    assert box.shell("false").returncode == 1
    assert box.shell("echo $?").stdout == b"1\n"
    box.shell("cd /workspace")


def test_the_shell_takes_lines_and_here_documents(box: Box) -> None:
    assert box.shell("cat <<X\na\nb\nX\nfor i in 1 2\ndo echo $i\ndone").stdout == b"a\nb\n1\n2\n"


def test_an_error_of_syntax_is_an_error_of_that_command(box: Box) -> None:
    result = box.shell("if then (")
    assert result.returncode not in (0, None)
    assert b"syntax error" in result.stderr
    assert box.shell("echo ok").stdout == b"ok\n"


def test_jobs_of_the_shell_stay(box: Box) -> None:
    box.shell("sleep 986 & job=$!")
    assert box.shell("kill $job && echo killed").stdout == b"killed\n"


def test_commands_read_from_nowhere(box: Box) -> None:
    assert box.shell("cat; read x; echo $?").stdout == b"1\n"


def test_after_exit_there_is_another_shell(box: Box) -> None:
    box.shell("x=5")
    assert box.shell("exit 9").returncode == 9
    result = box.shell("echo [$x]")
    assert result.shell_restarted
    assert result.stdout == b"[]\n"
    assert not box.shell("true").shell_restarted


def test_after_a_command_without_end_there_is_another_shell(box: Box) -> None:
    result = box.shell("echo first; sleep 100", timeout_s=0.5)
    assert result.timed_out
    assert result.stdout == b"first\n"
    assert box.shell("echo ok").stdout == b"ok\n"


def test_a_shell_that_was_stopped_is_replaced(box: Box) -> None:
    assert box.shell("kill -STOP $$", timeout_s=0.5).timed_out
    assert box.shell("echo ok").shell_restarted


@pytest.mark.parametrize(
    "forgery",
    [
        "echo 0 >&3; sleep 0.3; false",
        "printf '0\\n' >/proc/$$/fd/3; sleep 0.3; false",
        "for i in 3 4 5 10 11 12 13; do echo 0 >&$i; done 2>/dev/null; sleep 0.3; false",
        "(sleep 0.1; printf '0\\n' >/proc/$$/fd/3) & sleep 0.3; false",
        "printf '0\\n%d\\n' {1..100} >/proc/$$/fd/3; sleep 0.3; false",
        "echo; printf '\\0'; echo 0; sleep 0.3; false",
    ],
)
def test_what_a_command_writes_does_not_end_it(box: Box, forgery: str) -> None:
    result = box.shell(forgery + " && echo no || { echo end; false; }")
    assert result.stdout.endswith(b"end\n")
    assert result.returncode == 1
    assert result.duration_s >= 0.3
    assert box.shell("echo next").stdout == b"next\n"


def test_whoever_feeds_the_shell_himself_harms_only_himself(box: Box) -> None:
    box.shell(
        "for i in 0 10 11; do printf 'echo fed\\0' >/proc/$$/fd/$i; done 2>/dev/null", timeout_s=2
    )
    assert box.shell("echo ok", timeout_s=2).stdout.endswith(b"ok\n") or box.shell("echo ok").ok


def test_binary_output_is_output(box: Box) -> None:
    result = box.shell("printf '\\0\\1\\377'")
    assert result.stdout == b"\0\1\xff"


# --- files --------------------------------------------------------------------------------------


def test_files_are_written_and_read(box: Box) -> None:
    content = os.urandom(3 * MIB)
    box.write("/workspace/a/b/c.bin", content)
    assert box.read("/workspace/a/b/c.bin") == content
    assert box.read("a/b/c.bin") == content
    assert box.shell("wc -c </workspace/a/b/c.bin").stdout.strip() == str(3 * MIB).encode()
    box.write("script", b"#!/bin/sh\necho ran\n", mode=0o755)
    assert box.exec("./script").stdout == b"ran\n"
    box.write("empty", b"")
    assert box.read("empty") == b""


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/nowhere", FileNotFoundError),
        ("/srv", IsADirectoryError),
        ("/srv/data.txt/x", NotADirectoryError),
        ("/dev/zero", OSError),
        ("/proc/1/mem", OSError),
    ],
)
def test_what_cannot_be_read_is_the_usual_error(box: Box, path: str, error: type[OSError]) -> None:
    with pytest.raises(error):
        box.read(path)


@pytest.mark.parametrize("path", ["/usr/x", "/etc/passwd", "/srv/data.txt", "/opt/bin/fetch", "/x"])
def test_the_auditor_writes_with_the_agents_rights(box: Box, path: str) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - read-only file system, mostly
        box.write(path, b"x")


def test_links_lead_nowhere_but_into_the_agents_view(box: Box) -> None:
    box.shell(
        "ln -sf /etc/shadow l1; ln -sfn / l2; ln -sf /proc/self/environ l3; ln -sf /proc/self/fd/0 l4"
    )
    with pytest.raises(FileNotFoundError):
        box.read("l1")
    with pytest.raises(FileNotFoundError):
        box.read("l2/root/.bashrc")
    assert b"AUDITKIT" not in box.read("l3")
    with pytest.raises(OSError):  # noqa: PT011
        box.read("l4")
    with pytest.raises(OSError):  # noqa: PT011
        box.write("l2/usr/bin/x", b"x")


def test_a_pipe_in_a_files_place_does_not_hold_anybody_up(box: Box) -> None:
    box.shell("mkfifo p")
    began = time.monotonic()
    for attempt in (lambda: box.read("p"), lambda: box.write("p", b"x")):
        with pytest.raises(OSError):  # noqa: PT011
            attempt()
    assert time.monotonic() - began < 5


def test_a_file_that_is_too_large_is_not_half_read(box: Box) -> None:
    box.shell("head -c 1000 /dev/zero >large")
    with pytest.raises(OSError, match="File too large"):
        box.read("large", limit_bytes=999)
    assert len(box.read("large", limit_bytes=1000)) == 1000


# --- records ------------------------------------------------------------------------------------


def test_commands_are_recorded() -> None:
    with Box() as box:
        box.shell("echo x")
        box.exec("false")
        first, second = box.details("command")
    assert (first["via"], first["command"], first["returncode"]) == ("shell", "echo x", 0)
    assert first["stdout"]["size_bytes"] == 2
    assert (second["via"], second["command"], second["returncode"]) == ("exec", ["false"], 1)


def test_uses_of_watched_files_are_recorded_and_the_auditors_apart() -> None:
    spec = StageSpec(
        files={
            "/srv/w/model.bin": File(content=b"w" * 100),
            "/workspace/log": File(content=b"log\n"),
        },
        watched=("/srv/w", "/workspace/log"),
    )
    with Box(spec) as box:
        box.read("/srv/w/model.bin")
        assert {r.kind for r in box.records()} == {"auditor_file"}
        uses = {
            "ls /srv/w": ("listed", "/srv/w"),
            "cat /srv/w/model.bin": ("read", "/srv/w/model.bin"),
            "exec 9</srv/w/model.bin": ("opened", "/srv/w/model.bin"),
            "ln -s /srv/w/model.bin /tmp/l; cat /tmp/l": ("read", "/srv/w/model.bin"),
            "python3 -c \"import mmap; f=open('/srv/w/model.bin'); mmap.mmap(f.fileno(), 0, prot=1)[:9]\"": (
                "opened",
                "/srv/w/model.bin",
            ),
            "echo more >>/workspace/log": ("modified", "/workspace/log"),
            "chmod 600 /workspace/log": ("attributes", "/workspace/log"),
            "rm /workspace/log": ("deleted", "/workspace/log"),
        }
        for command, expected in uses.items():
            before = len(box.sandbox.records())
            assert box.shell(command).ok, command
            found = {(r.kind, r.detail.get("path")) for r in box.sandbox.records()[before:]}
            assert expected in found, command
        times = [record.t_s for record in box.records()]
        assert times == sorted(times)


def test_new_folders_below_a_watched_one_are_watched() -> None:
    with Box(
        StageSpec(files={"/workspace/w/x": File(content=b"")}, watched=("/workspace/w",))
    ) as box:
        box.shell(
            "mkdir /workspace/w/new; sleep 0.2; echo 1 >/workspace/w/new/f; cat /workspace/w/new/f"
        )
        assert "/workspace/w/new/f" in [d["path"] for d in box.details("read")]


# --- limits -------------------------------------------------------------------------------------


def test_a_fork_bomb_stays_small() -> None:
    with Box(small(n_processes=40)) as box:
        result = box.exec("bash", "-c", "f() { f | f & }; f; sleep 2", timeout_s=4)
        assert b"fork" in result.stderr
        if box.sandbox.alive:
            assert box.exec("echo", "alive", timeout_s=10).stdout in (b"alive\n", b"")
        else:
            assert "n_processes" in box.sandbox.ended


def test_one_process_cannot_take_more_than_the_memory() -> None:
    with Box(small(memory_bytes=256 * MIB)) as box:
        assert b"MemoryError" in box.exec("python3", "-c", "x = bytearray(1 << 30)").stderr
        assert box.sandbox.alive


def test_many_processes_together_end_the_sandbox() -> None:
    with Box(small(memory_bytes=192 * MIB)) as box:
        hog = "import time; x = bytearray(80 << 20); time.sleep(30)"
        with pytest.raises(SandboxError, match="memory_bytes"):
            box.shell(f"for i in 1 2 3 4 5; do python3 -c '{hog}' & done; wait")
        assert box.details("limit")[0]["limit"] == "memory_bytes"


def test_a_full_disk_is_the_agents_trouble() -> None:
    with Box(small(disk_bytes=32 * MIB)) as box:
        result = box.shell(
            "head -c 100M /dev/zero >/workspace/big; head -c 100M /dev/zero >/dev/shm/big"
        )
        assert result.stderr.count(b"No space left") == 2
        box.sleep(0.2)
        assert box.details("limit")[0]["limit"] == "disk_bytes"
        assert box.shell("rm /workspace/big; echo ok >/tmp/x && cat /tmp/x").stdout == b"ok\n"


def test_neither_can_it_use_up_all_inodes_of_the_host() -> None:
    with Box(small(disk_bytes=16 * MIB)) as box:
        code = "for i in range(10**6): open(f'/tmp/{i}', 'w').close()"
        assert b"No space left" in box.exec("python3", "-c", code, timeout_s=60).stderr


def test_a_file_has_a_largest_size() -> None:
    with Box(small(file_size_bytes=MIB)) as box:
        assert box.exec("bash", "-c", "head -c 2M /dev/zero >/tmp/x").returncode != 0
        assert box.shell("wc -c </tmp/x").stdout.strip() == str(MIB).encode()


def test_processor_time_is_bounded() -> None:
    with Box(small(cpu_s=1)) as box:
        assert box.exec("bash", "-c", "while :; do :; done").returncode == -signal.SIGKILL


def test_a_sandbox_has_a_lifetime() -> None:
    with Box(small(lifetime_s=0.7)) as box:
        with pytest.raises(SandboxError, match="lifetime_s"):
            box.exec("sleep", "10")
        assert not box.sandbox.alive


def test_records_are_bounded() -> None:
    with Box(small(records_bytes=20_000)) as box:

        def much() -> None:
            for _ in range(200):
                box.shell("true")
                box.sleep(0.01)

        with pytest.raises(SandboxError, match="records_bytes"):
            much()


# --- its end ------------------------------------------------------------------------------------


def processes_with(marker: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if marker.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return [pid for pid in found if pid != os.getpid()]


def test_closing_leaves_no_process() -> None:
    with Box() as box:
        box.shell("setsid nohup sleep 98765.1 & disown; (setsid sleep 98765.1 &)")
        assert eventually(lambda: len(processes_with("sleep\00098765.1")) == 2)
    assert processes_with("98765.1") == []


def test_a_dead_sandbox_says_so() -> None:
    with Box() as box:
        assert box.sandbox.alive
        box.close()
        assert not box.sandbox.alive
        box.runner = asyncio.Runner()
        for attempt in (
            lambda: box.exec("true"),
            lambda: box.shell("true"),
            lambda: box.read("/x"),
        ):
            with pytest.raises(SandboxError, match="closed"):
                attempt()


def test_a_sandbox_that_dies_in_a_command_says_so() -> None:
    def ours() -> set[int]:
        return {p for p in processes_with("/opt/supervisor.pyz") if parent_is(p, os.getpid())}

    before = ours()
    with Box() as box:
        (process,) = ours() - before
        subprocess.Popen(["bash", "-c", f"sleep 0.3; kill -9 {process}"])
        with pytest.raises(SandboxError, match="died"):
            box.exec("sleep", "20")
        assert not box.sandbox.alive
        with pytest.raises(SandboxError):
            box.exec("true")


def parent_is(pid: int, parent: int) -> bool:
    return f"PPid:\t{parent}\n" in Path(f"/proc/{pid}/status").read_text()


def test_the_agent_may_end_its_layer_and_nothing_more() -> None:
    with Box() as box:
        box.exec("python3", "-c", "import os; os.kill(-1, 9)")
        assert box.exec("echo", "alive").stdout == b"alive\n"


CHILD = """
import asyncio, sys
from auditkit.behaviour.sandbox.sandbox import Sandbox
from auditkit.behaviour.sandbox.stage import StageSpec
async def main():
    sandbox = await Sandbox.start(StageSpec())
    await sandbox.exec(["bash", "-c", "setsid sleep %s >/dev/null 2>&1 &"])
    print("ready", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_the_sandbox_dies_with_the_auditor() -> None:
    needs_sandbox()
    marker = "98765.2"
    with subprocess.Popen([sys.executable, "-c", CHILD % marker], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        started = eventually(lambda: bool(processes_with(f"sleep\0{marker}")))
        child.kill()
    assert started
    assert eventually(lambda: not processes_with(f"sleep\0{marker}"))


def eventually(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + 5
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.timeout(120)
def test_twenty_at_once() -> None:
    needs_sandbox()

    async def one(number: int) -> bytes:
        async with await Sandbox.start(StageSpec(hostname=f"host-{number}")) as sandbox:
            await sandbox.write_file("/workspace/x", str(number).encode())
            result = await sandbox.shell("hostname; cat /workspace/x; ls /workspace | wc -l")
            return result.stdout

    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(*(one(number) for number in range(20)))

    found = asyncio.run(all_of_them())
    assert found == [b"host-%d\n%d1\n" % (n, n) for n in range(20)]


def test_nothing_remains_on_the_host(tmp_path: Path) -> None:
    before = {p: set(os.listdir(p)) for p in ("/tmp", "/var/tmp", "/dev/shm")}
    with Box() as box:
        box.shell("echo marker-of-this-test >/tmp/marker-of-this-test; cp /tmp/marker* /dev/shm")
        for place in before:
            assert "marker-of-this-test" not in os.listdir(place)


def test_a_stage_that_cannot_be_built_says_why() -> None:
    needs_sandbox()
    with pytest.raises(SandboxError, match="watch /srv/none"):
        Box(StageSpec(watched=("/srv/none",)))
    big = {"/srv/big": File(content=bytes(20 * MIB))}
    with pytest.raises(SandboxError, match="No space left"):
        Box(StageSpec(files=big, limits=Limits(disk_bytes=16 * MIB)))
