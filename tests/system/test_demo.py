"""script/demo, as a newcomer runs it."""
import os
import pathlib
import signal
import subprocess

import pytest

from conftest import BUILD, ROOT, clean_environment, until

pytestmark = pytest.mark.skipif(BUILD != ROOT / "build", reason="the demo shows the release build")


def processes_of(folder):
    """Command lines that name something in `folder`."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in line:
            found.append(line)
    return found


@pytest.fixture
def env(tmp_path):
    return {**clean_environment(), "TMPDIR": str(tmp_path)}


def test_the_demo_shows_the_whole_road_and_leaves_nothing(env, tmp_path):
    done = subprocess.run([ROOT / "script/demo", "--once"], capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("wiki on localhost:", "Hello from the private page.", "but not the secret word"):
        assert part in done.stdout
    assert "pc_*" in done.stdout  # the key itself is not shown
    assert list(tmp_path.glob("pc-demo.*")) == [] and processes_of(tmp_path) == []


def test_ctrl_c_ends_all_of_the_demo(env, tmp_path):
    # The tests may run in the background, where Ctrl-C is ignored, and a shell cannot undo that for itself.
    process = subprocess.Popen([ROOT / "script/demo"], stdout=subprocess.PIPE, text=True, env=env,
                               start_new_session=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert any("Ctrl-C ends everything" in line for line in process.stdout)
    assert processes_of(tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    assert "Ending hub and agents." in process.stdout.read()
    assert process.wait(30) == 0
    process.stdout.close()
    until(lambda: not processes_of(tmp_path), "everything has ended")
    assert list(tmp_path.glob("pc-demo.*")) == []
