"""script/bench: our tunnel beside its competitors, in one run on this machine."""
import argparse
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import time

import figures
import report
import roads as road_list
from machine import ROOT, Failed, Stage, compile_peers, cpu_seconds, machine_busy_seconds

FIGURES = (*figures.FIGURES, "memory")
NOISE_MAX = 0.10  # of the machine, used by others: more, and the figures are doubtful


def arguments():
    parser = argparse.ArgumentParser(
        prog="script/bench", description="Measures the tunnel beside its competitors, in one run on this machine. "
        "Everything stays on 127.0.0.1 and ends by itself.")
    parser.add_argument("--quick", action="store_true", help="two minutes, for a first look")
    parser.add_argument("--only", action="append", choices=FIGURES, metavar="NAME",
                        help=f"a single figure: {', '.join(FIGURES)} (stream has the CPU seconds as well)")
    parser.add_argument("--road", action="append", choices=list(road_list.TITLES), metavar="NAME",
                        help=f"only these roads: {', '.join(road_list.TITLES)}")
    parser.add_argument("--rounds", type=int, help="how often each is measured (5, quick: 3)")
    parser.add_argument("--seconds", type=float, help="of one stream measurement (3, quick: 0.7)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="the results (bench/results/latest.json)")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a floor is not reached")
    parser.add_argument("--no-build", action="store_true", help="take build/connect and build/connect-hub as they are")
    given = parser.parse_args()
    given.json = given.json or ROOT / "bench" / "results" / "latest.json"
    return given


def first_line_of(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except OSError:
        return None
    return (done.stdout or done.stderr).split("\n", 1)[0].strip()


def describe_machine():
    names = [line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.machine(), "cores": os.cpu_count(), "kernel": platform.release(),
        "load_average": os.getloadavg()[0],
        "commit": first_line_of("git", "-C", ROOT, "rev-parse", "--short", "HEAD"),
        "programs": {"ssh": first_line_of("ssh", "-V"), "haproxy": first_line_of("haproxy", "-v"),
                     "nginx": first_line_of("nginx", "-v"), "wrk": first_line_of("wrk", "-v"),
                     "openssl": first_line_of("openssl", "version")},
    }


class Noise:
    """What other programs took of the machine meanwhile."""

    def __init__(self):
        self.start = time.monotonic()
        self.busy, self.own = machine_busy_seconds(), cpu_seconds(os.getpid())

    def share(self):
        others = machine_busy_seconds() - self.busy - (cpu_seconds(os.getpid()) - self.own)
        return max(0.0, others / (os.cpu_count() * (time.monotonic() - self.start)))


def wanted_roads(given, wanted_figures):
    names = {name for figure in wanted_figures if figure != "memory" for name in figures.FIGURES[figure][2]}
    if given.road:
        names &= set(given.road)
    if not road_list.ours_is_built():
        if given.check:
            raise Failed("there is nothing to check: build/connect and build/connect-hub are missing")
        names -= set(road_list.PIPES)
        print("build/connect and build/connect-hub are missing: the competitors only", file=sys.stderr)
    return names


def run(given, stage):
    wanted = [figure for figure in FIGURES if not given.only or figure in given.only]
    pace = figures.Pace(given.quick, given.rounds, given.seconds)
    names = wanted_roads(given, wanted)
    targets = road_list.start_targets(stage)
    roads = road_list.start_roads(stage, targets, names)
    results, failures = {}, []
    for figure in wanted:
        if figure != "memory":
            results[figure], failed = figures.measure(stage, figure, roads, pace)
            failures += failed
        elif road_list.ours_is_built():
            results[figure] = figures.measure_memory(stage, targets, pace)
    return results, failures, pace


def describe_run(machine, pace, seconds, others):
    print(f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, commit {machine['commit']}")
    print(f"{pace.rounds} rounds, {seconds:.0f} s in all; other programs used {others:.0%} of the machine")


def main():
    given = arguments()
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda number, frame: sys.exit(128 + number))
    machine = describe_machine()
    compile_peers()
    with Stage() as stage:
        noise = Noise()
        results, failures, pace = run(given, stage)
        seconds, others = time.monotonic() - noise.start, noise.share()
    found = report.verdicts(results)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps({
        "v": 1, "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": machine,
        "rounds": pace.rounds, "seconds": pace.seconds, "other_programs": others, "figures": results,
        "floors": found, "failures": failures}, indent=1) + "\n")

    describe_run(machine, pace, seconds, others)
    print(report.table(results, found))
    print(f"\nwritten to {given.json}")
    for failure in failures:
        print(f"FAILED  {failure}", file=sys.stderr)
    if others > NOISE_MAX:
        print("The machine was busy with other things: measure again when it is quiet.", file=sys.stderr)
    below = any(v["ok"] is False for v in found)
    return 1 if failures or (given.check and below) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        sys.exit(f"script/bench: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
