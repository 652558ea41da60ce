"""What is measured. A figure has cases ("1 up"), a case is run on one road at a time and gives named numbers.

All roads stand at once and idle; a round takes each of them in turn (A B C A B C …), so that whatever else the machine
does meets all of them alike.
"""
import json
import re
import sys
import threading
import time

from machine import PROGRAMS, Failed, cpu_seconds, program, rss_bytes, until
from roads import Tunnel

GB = 1e9
MB = 1e6
PAUSE_S = 0.1  # between runs, for what the last one left behind


class Pace:
    """How long and how often."""

    def __init__(self, quick, rounds, seconds):
        self.rounds = rounds or (3 if quick else 5)
        stream = seconds or (0.7 if quick else 3.0)
        self.seconds = {"stream": stream, "rtt": stream / 2, "conn": stream / 2, "http": max(1, round(stream * 0.7)),
                        "memory": stream}


def peer(stage, name, *words, seconds):
    """One of the load programs; what it reports."""
    return json.loads(stage.run(PROGRAMS / name, *words, seconds=20 + 10 * seconds))


def cpu_by_place(road):
    return {place: sum(cpu_seconds(pid) for pid in pids) for place, pids in road.parts.items()}


# --- one run of one case on one road ----------------------------------------------------------------

def run_stream(stage, road, seconds, case):
    count, direction = case.split()
    before = cpu_by_place(road)
    got = peer(stage, "stream", road.ports["load"], direction, count, seconds, seconds=seconds)
    after = cpu_by_place(road)
    numbers = {"gb_per_s": got["bytes"] / got["seconds"] / GB}
    for place in before:
        used = after[place] - before[place]
        if used == 0 and got["bytes"] > GB / 2:
            raise Failed(f"the process {place} has done nothing: the bytes took another way")
        numbers[f"{place}_cpu_s_per_gb"] = used / (got["bytes"] / GB)
    return numbers


def run_rtt(stage, road, seconds, case):
    got = peer(stage, "rtt", road.ports["load"], case.split()[0], seconds, seconds=seconds)
    return {"p50_us": got["p50_us"], "p99_us": got["p99_us"]}


def run_conn(stage, road, seconds, case):
    got = peer(stage, "conn", road.ports["load"], case.split()[0], seconds, seconds=seconds)
    return {"per_s": got["connections"] / got["seconds"], "p50_us": got["p50_us"], "p99_us": got["p99_us"]}


TO_US = {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}


def wrk_latency(text, percent):
    value, unit = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)$", text, re.M).groups()
    return float(value) * TO_US[unit]


def run_http(stage, road, seconds, case):
    connections = case.split()[0]
    text = stage.run(program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
                     f"http://127.0.0.1:{road.ports['web']}/", seconds=30 + 3 * seconds)
    if "Socket errors" in text or "Non-2xx" in text:
        raise Failed(f"wrk met errors: {' '.join(text.split())[-300:]}")
    return {"per_s": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
            "p50_us": wrk_latency(text, 50), "p99_us": wrk_latency(text, 99)}


ROADS = ("loopback", "hops", "ours", "wrapped", "ssh-l", "ssh-rl")
FIGURES = {
    "stream": (run_stream, ("1 up", "1 down", "8 up", "8 down"), ROADS),
    "rtt": (run_rtt, ("1 byte", "64 bytes"), ROADS),
    "conn": (run_conn, ("1 at once", "8 at once"), (*ROADS, "haproxy")),
    "http": (run_http, ("16 connections",), ROADS),
}


def summary(samples):
    ordered = sorted(samples)
    half = len(ordered) // 2
    median = ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
    return {"median": median, "min": ordered[0], "max": ordered[-1], "samples": samples}


def collect(runs):
    """[{number: value}] of one road, as {number: summary}."""
    return {number: summary([run[number] for run in runs]) for number in (runs[0] if runs else ())}


def progress(text):
    """A line that the next one replaces, on a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text[:79]}")
        sys.stderr.flush()


def measure(stage, figure, roads, pace):
    """{case: {road: {number: summary}}} and the failures, as texts."""
    run, cases, wanted = FIGURES[figure]
    seconds = pace.seconds[figure]
    taken = [roads[name] for name in wanted if name in roads]
    results, failures = {}, []
    for case in cases:
        runs = {road.name: [] for road in taken}
        for turn in range(pace.rounds):
            for road in taken:
                progress(f"{figure}, {case}: round {turn + 1} of {pace.rounds}, {road.name}")
                try:
                    runs[road.name].append(run(stage, road, seconds, case))
                except Failed as failure:
                    failures.append(f"{figure}, {case}, {road.name}: {failure}")
                time.sleep(PAUSE_S)
        results[case] = {name: collect(of_road) for name, of_road in runs.items()}
        progress("")
    return results, failures


# --- memory ---------------------------------------------------------------------------------------

SETTLED_S = 0.5  # without change


def settled(pids):
    """Resident memory when it no longer changes."""
    last, since = None, time.monotonic()

    def steady():
        nonlocal last, since
        now = {place: rss_bytes(pid) for place, pid in pids.items()}
        if now != last:
            last, since = now, time.monotonic()
        return last if time.monotonic() - since > SETTLED_S else None
    return until(steady, "the memory settles", 10)


class Peak(threading.Thread):
    """The largest resident memory while it runs."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.over = pids, threading.Event()
        self.most = {place: 0 for place in pids}

    def run(self):
        while not self.over.wait(0.02):
            for place, pid in self.pids.items():
                self.most[place] = max(self.most[place], rss_bytes(pid))


def measure_memory(stage, targets, pace):
    """Of a hub and two agents that have carried nothing else: idle, under eight streams each way, and after."""
    progress("memory")
    tunnel = Tunnel(stage, "memory")
    seconds = pace.seconds["memory"]
    idle = settled(tunnel.pids)
    road = tunnel.road("memory", "bare", {"load": targets["load"]})
    reached = settled(tunnel.pids)
    peak = Peak(tunnel.pids)
    peak.start()
    for direction in ("up", "down"):
        peer(stage, "stream", road.ports["load"], direction, 8, seconds, seconds=seconds)
    peak.over.set()
    peak.join()
    after = settled(tunnel.pids)
    progress("")
    return {place: {"idle_mb": idle[place] / MB, "reached_mb": reached[place] / MB,
                    "loaded_mb": peak.most[place] / MB, "after_mb": after[place] / MB} for place in tunnel.pids}
