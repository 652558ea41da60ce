#!/usr/bin/env python3
"""Builds and tests everything, as script/test. The last line of the output is "N passed, N failed".

Unit tests are counted one by one; a build, a check or a test program that crashes counts as one.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
SYSTEM_LIMIT = 25 * 60  # seconds for all system tests; each waits with deadlines of its own
UNIT_LIMIT_FACTOR = 4  # sanitizers are slow, and so are other people's machines
# What the sanitized programs are spared: tests of amounts and waiting times, of memory (which a sanitizer multiplies), and a
# preloaded library that a sanitizer does not stand beside.
SPARED = ["gib", "stalled", "5000", "2000", "ten_seconds", "slow_clients", "never_occurs", "memory", "expired_token"]


class Sum:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []

    def add(self, what, passed=0, failed=0, skipped=0):
        failed = int(failed)
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        if failed:
            self.failures.append(f"{what}: {failed} failed")

    def line(self):
        tail = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{tail}"


@contextlib.contextmanager
def step(name):
    begun = time.monotonic()
    print(f"== {name}", flush=True)
    yield
    print(f"   {time.monotonic() - begun:.0f} s", flush=True)


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("CONNECT_")}
    return {**env, **more}


def build(total, kind):
    """True when there is something to test."""
    with step(f"build {kind}"):
        command = [ROOT / "script/build", f"--{kind}"]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        listed = BUILD / kind / "meson-info/intro-tests.json"
        if done.returncode == 0 and json.loads(listed.read_text()) == []:
            # Set up before the packages for tests were there.
            subprocess.run(["meson", "setup", "--reconfigure", BUILD / kind], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        total.add(f"build {kind}", passed=done.returncode == 0, failed=done.returncode != 0)
        return done.returncode == 0


# --- unit tests -------------------------------------------------------------------------

def count_unit(result):
    """Passed, failed, skipped of one entry of Meson's log: what cmocka counted, or the program as one."""
    output = result.get("stdout", "") + result.get("stderr", "")
    passed = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test", output)))
    failed = sum(map(int, re.findall(r"\[  FAILED  \] (\d+) test", output)))
    skipped = sum(map(int, re.findall(r"\[  SKIPPED \] (\d+) test", output)))
    if result["result"] == "SKIP":
        return 0, 0, 1
    if result["result"] == "OK":
        return passed or 1, 0, skipped
    return passed, failed or 1, skipped


def unit(total, kind, names):
    folder = BUILD / kind
    log = folder / "meson-logs/testlog.json"
    log.unlink(missing_ok=True)
    with step(f"unit tests, {kind}"):
        done = subprocess.run(
            ["meson", "test", "-C", folder, "--no-rebuild", "-t", str(UNIT_LIMIT_FACTOR), *names], cwd=ROOT,
            capture_output=True, text=True,
            env=environment(UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1", ASAN_OPTIONS="detect_leaks=1"))
        results = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        if not results:
            print(done.stdout[-4000:], done.stderr[-4000:])
            total.add(f"unit tests, {kind}", failed=1)
        for result in results:
            passed, failed, skipped = count_unit(result)
            total.add(f"{kind} {result['name']}", passed, failed, skipped)
            if failed:
                print(f"-- {result['name']}: {result['result']}")
                print((result.get("stdout", "") + result.get("stderr", ""))[-4000:])


# --- system tests -------------------------------------------------------------------------

def system(total, what, programs, arguments, **env):
    with tempfile.TemporaryDirectory() as scratch, step(what):
        report = pathlib.Path(scratch) / "junit.xml"
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "faulthandler_timeout=300", "-ra",
             "--durations=5", "--durations-min=5", f"--junitxml={report}", *arguments],
            cwd=ROOT / "tests/system", env=environment(CONNECT_BUILD=str(programs), **env), start_new_session=True)
        try:
            process.wait(SYSTEM_LIMIT)
        except subprocess.TimeoutExpired:
            print(f"not done within {SYSTEM_LIMIT} s")
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGINT)
            process.wait()
            raise
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if not report.exists():
            total.add(what, failed=1)
            return
        for suite in xml.etree.ElementTree.parse(report).getroot().iter("testsuite"):
            tests, failed, skipped = (int(suite.get(n)) for n in ("tests", "failures", "skipped"))
            # A test that fails and then cannot be torn down either is counted twice; that is fine for a failure.
            failed += int(suite.get("errors"))
            if failed == 0 and process.returncode != 0:
                failed = 1  # nothing was selected, or pytest itself went wrong
            total.add(what, max(0, tests - failed - skipped), failed, skipped)


def sanitized(total, selection):
    """System tests on the sanitized programs; what a sanitizer has to say about agents and hubs is found afterwards."""
    reports = BUILD / "asan/reports"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    arguments = selection or ["-k", " and ".join(f"not {word}" for word in SPARED)]
    system(total, "system tests, asan", BUILD / "asan", arguments, CONNECT_TEST_DEADLINE="90",
           ASAN_OPTIONS=f"detect_leaks=1:log_path={reports}/asan",
           UBSAN_OPTIONS=f"halt_on_error=1:print_stacktrace=1:log_path={reports}/ubsan")
    found = sorted(reports.iterdir())
    subprocess.run(["grep", "-rh", "SUMMARY", reports])
    for path in found[:3]:
        print(f"-- {path.name}\n{path.read_text(errors='replace')[:4000]}")
    total.add("reports of the sanitizers", passed=not found, failed=len(found))


# --- fuzzing ---------------------------------------------------------------------------------

def fuzz(total, seconds):
    for source in sorted((ROOT / "tests/fuzz").glob("fuzz_*.c")):
        name = source.stem.removeprefix("fuzz_")
        with step(f"fuzz {name}, {seconds} s"):
            done = subprocess.run([ROOT / "tests/fuzz/run", str(seconds), name], cwd=ROOT, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace",
                                  env=environment(FUZZ_BUILD=str(BUILD / "fuzz")))
            if done.returncode != 0:
                print(done.stdout[-4000:])
            total.add(f"fuzz {name}", passed=done.returncode == 0, failed=done.returncode != 0)


def main():
    parser = argparse.ArgumentParser(prog="script/test", description=__doc__.splitlines()[0])
    parser.add_argument("--unit", action="store_true", help="only the unit tests, in the release build")
    parser.add_argument("--system", action="store_true", help="only the system tests, on the release build")
    parser.add_argument("--asan", action="store_true", help="with --unit or --system: on the sanitized build instead")
    parser.add_argument("-k", metavar="EXPRESSION", help="only system tests whose name matches")
    parser.add_argument("--fuzz", metavar="SECONDS", type=int, default=0, help="also run each fuzzer for so long")
    parser.add_argument("names", nargs="*", help="with --unit: test programs; otherwise files in tests/system")
    wish = parser.parse_args()
    only_system = wish.system or (bool(wish.k or wish.names) and not wish.unit)
    selection = [*(["-k", wish.k] if wish.k else []), *wish.names]
    everything = not wish.unit and not only_system
    total = Sum()

    if everything:
        built = {kind: build(total, kind) for kind in ("release", "clang", "asan")}
        for kind in ("release", "asan"):
            if built[kind]:
                unit(total, kind, [])
        if built["release"]:
            system(total, "system tests", BUILD, [])
        if built["asan"]:
            sanitized(total, [])
    else:
        kind = "asan" if wish.asan else "release"
        if build(total, kind):
            if wish.unit:
                unit(total, kind, wish.names)
            elif wish.asan:
                sanitized(total, selection)
            else:
                system(total, "system tests", BUILD, selection)
    if wish.fuzz:
        fuzz(total, wish.fuzz)

    if total.failures:
        print("\nfailed:\n  " + "\n  ".join(total.failures))
    print(total.line())
    return total.failed > 0


if __name__ == "__main__":
    sys.exit(main())
