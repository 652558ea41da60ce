#!/usr/bin/env python3
"""Check that src/ calls nothing that is banned: calls that cannot be told a size, cannot report a failure or run a
shell, and comparisons of secrets that take longer the more bytes are equal. Exit status 1 on a find.
"""
import pathlib
import re
import sys

BANNED = {
    "strcpy": "text_copy()", "strcat": "text_format() or a buf", "sprintf": "text_format()", "vsprintf": "vsnprintf()",
    "stpcpy": "text_copy()", "strtok": "strcspn() on a reader", "atoi": "text_number()", "atol": "text_number()",
    "gets": "a limit", "alloca": "mem_zalloc()", "system": "no shell", "popen": "no shell",
    "rand": "platform_random()", "srand": "platform_random()", "random": "platform_random()",
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
COMPARISON = re.compile(r"(?<![\w.>])(?:memcmp|strcmp|strncmp|bcmp)\s*\(([^;{]*)")
SECRET = re.compile(r"secret|token|ticket|api_?key|private|seed|password", re.I)
# Comments and literals; what is kept of them are the line ends.
NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def finds(text):
    """Pairs of line number and complaint."""
    code = NOISE.sub(lambda m: "\n" * m.group().count("\n"), text)
    for match in CALL.finditer(code):
        yield code.count("\n", 0, match.start()) + 1, f"{match[1]}() is banned: use {BANNED[match[1]]}"
    for match in COMPARISON.finditer(code):
        depth, end = 1, 0
        while end < len(match[1]) and depth > 0:
            depth += {"(": 1, ")": -1}.get(match[1][end], 0)
            end += 1
        if SECRET.search(match[1][:end]):
            yield code.count("\n", 0, match.start()) + 1, "a secret is compared byte by byte: use CRYPTO_memcmp()"


# This check is checked whenever it runs.
SAMPLES = {
    'strcpy(a, b);': 1, 'x = sprintf (a, "%d", 1);': 1, 'p = alloca(n);': 1, 'if (memcmp(token, other, 32) == 0)': 1,
    'if (strcmp(a->ticket,\n    b))': 1, 'int n = atoi(s) + atoi(t);': 2,
    '/* strcpy(a, b) */ // gets(s)': 0, 'log_info("system (x)");': 0, 'text_strcpy(a); o.system(x); o->rand(); my_rand();': 0,
    'if (CRYPTO_memcmp(token, other, 32) == 0)': 0, 'if (memcmp(a, b, 4) == 0 && token_ok(t))': 0, "c = '\"'; /* gets( */": 0,
}


def main():
    for sample, count in SAMPLES.items():
        found = list(finds(sample))
        assert len(found) == count, (sample, found)
    complaints = [f"{path}:{line}: {what}" for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.[ch]"))
                  for line, what in finds(path.read_text())]
    print("\n".join(complaints) or "nothing banned")
    return bool(complaints)


sys.exit(main())
