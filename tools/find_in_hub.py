#!/usr/bin/env python3
"""Looks for a secret where a hub could have kept it: its memory, its folder, its log. Exit status 1 if it is there.

Also looks for a word the hub must know, so that a search that finds nothing is known to search.
"""
import argparse
import pathlib
import sys


def memory_of(process):
    """Everything readable in the process, part by part. PermissionError: it may not be read by this user."""
    with open(f"/proc/{process}/maps") as maps, open(f"/proc/{process}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if not rights.startswith("r") or "[v" in line:  # [vvar] and [vsyscall] are the kernel's
                continue
            low, high = (int(part, 16) for part in span.split("-"))
            try:
                memory.seek(low)
                yield memory.read(high - low)
            except (OSError, ValueError):
                continue


def files_of(paths):
    for path in map(pathlib.Path, paths):
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file():
                yield file.read_bytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("process", type=int)
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--secret", required=True)
    parser.add_argument("--known", required=True)
    wish = parser.parse_args()
    secret, known = wish.secret.encode(), wish.known.encode()

    places = [("files and log", files_of(wish.paths))]
    try:
        places.append(("memory", list(memory_of(wish.process))))
    except PermissionError:
        print("the hub's memory may only be read by root here, so only its files are searched")
    for name, parts in places:
        size = count_secret = count_known = 0
        for part in parts:
            size += len(part)
            count_secret += part.count(secret)
            count_known += part.count(known)
        if count_secret:
            print(f"its {name} hold the page's secret word. That must not be!")
            return 1
        if not count_known:
            print(f"its {name} do not even hold {wish.known}: the search is broken")
            return 1
        print(f"its {name} ({size / 1e6:.1f} MB) hold the workspace's name, but not the secret word")
    return 0


sys.exit(main())
