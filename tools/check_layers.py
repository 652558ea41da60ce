#!/usr/bin/env python3
"""Check that every #include in src/ points at an allowed layer.

A folder may include itself and what LAYERS lists for it; system headers of the
big libraries are allowed only where LIBRARIES says. Exit status 1 on a breach.
"""
import pathlib
import re
import sys

LAYERS = {
    "base": [],
    "wire": ["base"],
    "mux": ["base", "wire"],
    "crypto": ["base"],
    "net": ["base", "wire", "crypto"],
    "store": ["base"],
    "hub": ["base", "wire", "crypto", "net", "store"],
    "agent": ["base", "wire", "mux", "crypto", "net"],
}
LIBRARIES = {
    "uv.h": ["net", "hub", "agent"],
    "openssl/ssl.h": ["crypto", "net"],
    "openssl/": ["crypto", "base", "net"],
    "sqlite3.h": ["store"],
    "libpq-fe.h": ["store"],
    "jansson.h": ["hub", "agent"],
    "yaml.h": ["hub", "agent"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def breaches(root):
    for path in sorted(root.rglob("*.[ch]")):
        layer = path.relative_to(root).parts[0]
        for kind, name in INCLUDE.findall(path.read_text()):
            if kind == '"':
                target = name.split("/")[0]
                if target != layer and target not in LAYERS[layer]:
                    yield f"{path}: {layer}/ may not include {name}"
                continue
            for prefix, layers in LIBRARIES.items():
                if name.startswith(prefix):
                    if layer not in layers:
                        yield f"{path}: {layer}/ may not use <{name}>"
                    break


found = list(breaches(pathlib.Path(sys.argv[1])))
print("\n".join(found) or "layers hold")
sys.exit(bool(found))
