"""The README is kept true: every command it shows is run, as it stands there, by a person's three machines."""
import re
import shlex
import subprocess

import pytest

from conftest import BUILD, ROOT, clean_environment, free_port, until
from services import echo, greet, serve

README = (ROOT / "README.md").read_text()


def commands():
    """Whatever stands behind "$ " in a code block; two columns make two commands."""
    found = []
    for block in re.findall(r"```\n(.*?)```", README, re.S):
        for line in block.splitlines():
            for part in line.split("$ ")[1:]:
                command = re.split(r"\s{2,}", part.strip())[0]
                if command not in found:
                    found.append(command)
    return found


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """A home for each machine, with the two programs in its PATH."""
    homes = {name: tmp_path_factory.mktemp(name) for name in ("hub", "server", "laptop")}
    yield homes
    for home in homes.values():
        run(home, "connect down")


def environment(home):
    env = {k: v for k, v in clean_environment().items() if k != "XDG_DATA_HOME"}
    return {**env, "HOME": str(home), "PATH": f"{BUILD}:{env['PATH']}"}


def run(home, command):
    return subprocess.run(["sh", "-c", command], cwd=home, env=environment(home), capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL)


def test_every_command_of_the_readme_works(machines):
    shown = commands()
    assert {"connect up", "connect expose localhost:5432 --name prod-db", "connect reach prod-db"} <= set(shown)
    port, data = free_port(), machines["hub"] / "data"
    # What differs from machine to machine: where the hub is, and which ports are free here.
    here = {"https://hub:3001": f"https://127.0.0.1:{port}"}
    hub = subprocess.Popen(shlex.split(f"connect-hub serve --listen 127.0.0.1:{port} --data {data}"), cwd=machines["hub"],
                           env=environment(machines["hub"]), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert b"hub.ready" in hub.stdout.readline()
        shown.remove("connect-hub serve")
        with serve(echo) as target, serve(greet) as ssh:
            here["localhost:5432"] = f"localhost:{target}"

            def do(home, command):
                for there, local in here.items():
                    command = command.replace(there, local)
                done = run(home, command)
                assert done.returncode == 0, (command, done.stdout, done.stderr)
                return done.stdout

            server, laptop = machines["server"], machines["laptop"]
            key = do(machines["hub"], shown.pop(shown.index("connect-hub key create --workspace acme")) + f" --data {data}")
            login = next(c for c in shown if c.startswith("connect up --hub"))
            shown.remove(login)
            for home, label in ((server, "prod"), (laptop, "laptop")):
                (home / "key.txt").write_text(key)
                assert "is connected to" in do(home, login.replace("--label prod", f"--label {label}"))
            # The order of a first day: log in, expose there, then everything else here.
            shown.remove("connect up")
            do(server, "connect up"), do(laptop, "connect up")
            for command in [c for c in shown if c.startswith("connect expose")]:
                shown.remove(command)
                assert "prod-db leads to" in do(server, command)
            do(server, f"connect expose localhost:{ssh} --name prod-ssh")
            for command in list(shown):
                if command.startswith("ssh "):
                    proxy = re.search(r"ProxyCommand='([^']+)'", command)[1]
                    command = f"({proxy}) | head -c 11"
                    assert do(laptop, command) == "220 welcome"
                else:
                    assert do(laptop, command)
                shown.pop(0)
            assert shown == []
    finally:
        hub.terminate()
        hub.wait(20)


def test_the_files_it_points_to_are_there():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_the_folders_of_the_architecture_are_those_of_the_tree():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"^    (src/\w+)", text, re.M))
    assert named == {f"src/{p.name}" for p in (ROOT / "src").iterdir() if p.is_dir()}
