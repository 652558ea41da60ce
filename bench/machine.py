"""The benchmark's processes: started here, watched through /proc, and all of them ended here."""
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("CONNECT_BUILD", ROOT / "build"))
PEERS = ROOT / "bench" / "peers"
PROGRAMS = ROOT / "build" / "bench"
TICKS = os.sysconf("SC_CLK_TCK")
READY_S = 20  # for a program to be ready
END_S = 5     # for a program to end in order

PR_SET_CHILD_SUBREAPER = 36


class Failed(Exception):
    """A measurement or a program that did not do what it must; the text is for people."""


def compile_peers():
    """The load programs, again when a source is newer."""
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    shared = [PEERS / "net.c", PEERS / "net.h"]
    for name in ("far", "stream", "rtt", "conn", "hop"):
        source, program = PEERS / f"{name}.c", PROGRAMS / name
        newest = max(f.stat().st_mtime for f in [source, *shared])
        if program.exists() and program.stat().st_mtime >= newest:
            continue
        subprocess.run(["cc", "-O2", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-pthread",
                        "-o", program, source, PEERS / "net.c"], check=True)


def program(name):
    path = shutil.which(name)
    if path is None:
        raise Failed(f"{name} is not installed: script/bootstrap --bench")
    return path


def can_connect(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def until(condition, what, seconds=READY_S):
    """Waits for condition() to be true and returns its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(0.02)
    return value


# --- what the kernel knows about processes --------------------------------------------------------

def stat_fields(pid):
    """The fields of /proc/PID/stat from the third on; None: there is no such process."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None


def children_by_parent():
    family = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := stat_fields(entry)):
            family.setdefault(int(fields[1]), []).append(int(entry))
    return family


def descendants(pid):
    family = children_by_parent()
    found, todo = [], [pid]
    while todo:
        children = family.get(todo.pop(), [])
        found += children
        todo += children
    return found


def cpu_seconds(pid):
    """User and system time of all threads of the process, of its living descendants, and of those that have ended."""
    total = 0
    for one in [pid, *descendants(pid)]:
        if fields := stat_fields(one):
            total += sum(int(ticks) for ticks in fields[11:15])
    return total / TICKS


def rss_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise Failed(f"no memory figure for process {pid}")


def machine_busy_seconds():
    """What all programs of the machine have used so far: user, nice and system time."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(int(ticks) for ticks in fields[1:4]) / TICKS


# --- the stage ------------------------------------------------------------------------------------

class Stage:
    """A temporary folder and the processes that live in it. Leaving it ends all of them, the adopted ones too."""

    def __enter__(self):
        # Agents go to the background: they become our children, so that none can be forgotten.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="connect-bench."))
        self.endings = []
        self.started = 0
        self.given_ports = set()
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("CONNECT_", "SSH_"))}
        self.env.update(NO_COLOR="1", LC_ALL="C")
        return self

    def __exit__(self, *why):
        # A second Ctrl-C must not leave processes behind.
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        for ending in reversed(self.endings):
            with contextlib.suppress(Exception):
                ending()
        end_all(os.getpid())
        shutil.rmtree(self.folder, ignore_errors=True)

    def on_end(self, ending):
        self.endings.append(ending)

    def start(self, *command):
        """A process that runs until the stage ends; its output goes to files, .out and .log are their paths."""
        self.started += 1
        name = self.folder / f"{self.started:02}-{pathlib.Path(command[0]).name}"
        out, log = name.with_suffix(".out"), name.with_suffix(".log")
        with open(out, "wb") as to_out, open(log, "wb") as to_log:
            # A session of its own: Ctrl-C comes to us alone, and we end things in order. If we are killed, it ends too.
            process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "--", *map(str, command)],
                                       stdin=subprocess.DEVNULL, stdout=to_out, stderr=to_log, env=self.env,
                                       cwd=self.folder, start_new_session=True)
        process.name, process.out, process.log = name.name, out, log
        self.on_end(lambda: end(process))
        return process

    def first_line(self, process):
        """What the process says when it is ready."""
        def line():
            must_run(process)
            text = process.out.read_text()
            return text.split("\n", 1)[0] if "\n" in text else None
        return until(line, f"{process.name} is ready")

    def wait_for_port(self, port, process):
        def listens():
            must_run(process)
            return can_connect(port)
        until(listens, f"{process.name} listens on {port}")

    def run(self, *command, seconds=60):
        """A command's output."""
        words = [str(word) for word in command]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, env=self.env,
                                  stdin=subprocess.DEVNULL, cwd=self.folder)
        except subprocess.TimeoutExpired:
            raise Failed(f"{pathlib.Path(words[0]).name} did not end within {seconds} s") from None
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip())[-500:]
            raise Failed(f"{pathlib.Path(words[0]).name} {' '.join(words[1:])[:200]}: {said}")
        return done.stdout

    def free_port(self):
        """Below the ports that outgoing connections take: thousands of them would race for the same one."""
        for port in range(20000, 32000):
            if port in self.given_ports:
                continue
            self.given_ports.add(port)
            with socket.socket() as s, contextlib.suppress(OSError):
                s.bind(("127.0.0.1", port))
                return port
        raise Failed("no free port")


def must_run(process):
    if process.poll() is not None:
        raise Failed(f"{process.name} has ended:\n{process.log.read_text(errors='replace')[-2000:]}")


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def reap():
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass


def end_all(pid):
    """Ends whatever still descends from us."""
    for name, seconds in ((signal.SIGTERM, END_S), (signal.SIGKILL, END_S)):
        deadline = time.monotonic() + seconds
        for one in descendants(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, name)
        while time.monotonic() < deadline:
            reap()
            if not descendants(pid):
                return
            time.sleep(0.02)
