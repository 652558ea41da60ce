#!/usr/bin/env python3
"""Write a C file that holds the given files as one table, sorted by name.

    embed.py OUTPUT SYMBOL FOLDER FILE...

The table is `const struct embed SYMBOL[]` (src/base/embed.h), its length
`const size_t SYMBOL_count`, and each name is relative to FOLDER.
"""
import pathlib
import sys

CHUNK = 64


def literal(data):
    """C string literals, one per line, equal to `data` byte for byte."""

    def char(byte):
        # Octal takes at most three digits, so a digit that follows cannot join in; a
        # question mark is escaped because two of them may begin a trigraph.
        plain = 32 <= byte < 127 and byte not in b'"\\?'
        return chr(byte) if plain else f"\\{byte:03o}"

    chunks = [data[i:i + CHUNK] for i in range(0, len(data), CHUNK)] or [b""]
    return "\n".join('     "' + "".join(map(char, chunk)) + '"' for chunk in chunks)


def main(output, symbol, folder, *files):
    root = pathlib.Path(folder).resolve()
    paths = [pathlib.Path(f).resolve() for f in files]
    named = sorted((path.relative_to(root).as_posix(), path) for path in paths)
    rows = []
    for name, path in named:
        data = path.read_bytes()
        rows.append(f"    {{{literal(name.encode()).strip()},\n{literal(data)},\n     {len(data)}}},\n")
    pathlib.Path(output).write_text(
        '#include "base/embed.h"\n\n'
        f"extern const struct embed {symbol}[];\nextern const size_t {symbol}_count;\n\n"
        f"const struct embed {symbol}[] = {{\n{''.join(rows)}}};\n"
        f"const size_t {symbol}_count = {len(rows)};\n")


main(*sys.argv[1:])
