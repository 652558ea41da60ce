"""From numbers to the table and to the verdicts."""
from roads import TITLES

# Every floor is a claim about numbers of this run: the claim, at least or at most, the bound, how the number comes about.
# A number is (figure, case, road, name of the number); two of them are compared by ratio, or by difference.
STREAM_CASES = ("1 up", "1 down", "8 up", "8 down")


def floors():
    """(text, value's recipe, sign, bound)"""
    for case in STREAM_CASES:
        yield f"{case}: ours / three hops", ratio("stream", case, "gb_per_s", "ours", "hops"), ">=", 0.55
    for case in STREAM_CASES:
        bound = 1.6 if case.startswith("1 ") else 3.0
        yield f"{case}: ours / ssh -R + -L", ratio("stream", case, "gb_per_s", "ours", "ssh-rl"), ">=", bound
    for case in STREAM_CASES:
        yield f"{case}: ours / ssh -L", ratio("stream", case, "gb_per_s", "ours", "ssh-l"), ">=", 1.0
    for case in STREAM_CASES:
        yield f"{case}: wrapped / three hops", ratio("stream", case, "gb_per_s", "wrapped", "hops"), ">=", 0.25
    for case in STREAM_CASES:
        yield f"{case}: hub, CPU-s per GB", number("stream", case, "middle_cpu_s_per_gb", "ours"), "<=", 0.25
    for case in ("1 byte", "64 bytes"):
        yield f"{case}: added p50 over three hops, us", difference("rtt", case, "p50_us", "ours", "hops"), "<=", 50
    for case in ("1 at once", "8 at once"):
        yield f"new streams, {case}: ours / three hops", ratio("conn", case, "per_s", "ours", "hops"), ">=", 1.0
    for case in ("1 at once", "8 at once"):
        yield f"new streams, {case}: ours / haproxy", ratio("conn", case, "per_s", "ours", "haproxy"), ">=", 8.0
    yield "hub idle, MB", memory("middle"), "<=", 25
    yield "exposing agent idle, MB", memory("far"), "<=", 8
    yield "reaching agent idle, MB", memory("near"), "<=", 8


def find(results, figure, case, name, road):
    return results.get(figure, {}).get(case, {}).get(road, {}).get(name)


def number(figure, case, name, road):
    """The median, and the range over the rounds."""
    def value(results):
        s = find(results, figure, case, name, road)
        return s and (s["median"], s["min"], s["max"])
    return value


def paired(figure, case, name, road, other, compare):
    """Of the medians; the range is that of the rounds, each compared with its own neighbour in time."""
    def value(results):
        a, b = find(results, figure, case, name, road), find(results, figure, case, name, other)
        if not a or not b:
            return None
        rounds = [compare(x, y) for x, y in zip(a["samples"], b["samples"])]
        return compare(a["median"], b["median"]), min(rounds), max(rounds)
    return value


def ratio(figure, case, name, road, other):
    return paired(figure, case, name, road, other, lambda x, y: x / y)


def difference(figure, case, name, road, other):
    return paired(figure, case, name, road, other, lambda x, y: x - y)


def memory(place):
    def value(results):
        mb = results.get("memory", {}).get(place)
        if not mb:
            return None
        # With a service exposed and reached, and nothing flowing, it is idle as well.
        most = max(mb["idle_mb"], mb["reached_mb"])
        return most, most, most
    return value


def verdicts(results):
    """[{claim, value, min, max, sign, bound, ok}]; ok is None where there was nothing to measure."""
    found = []
    for claim, recipe, sign, bound in floors():
        value = recipe(results)
        verdict = {"claim": claim, "sign": sign, "bound": bound, "ok": None}
        if value:
            verdict.update(value=value[0], min=value[1], max=value[2],
                           ok=value[0] >= bound if sign == ">=" else value[0] <= bound)
        found.append(verdict)
    return found


# --- the table ------------------------------------------------------------------------------------

LABEL = 13


def short(value, width):
    """As many digits as tell something and fit."""
    if value is None:
        return "-".rjust(width)
    for digits in (2, 1, 0):
        text = f"{value:.{digits}f}"
        if len(text.lstrip("-").replace(".", "")) <= 3 or digits == 0:
            return text.rjust(width)
    return text


def row(label, cells):
    return (label.ljust(LABEL) + "".join(cells)).rstrip()


def heading(title, cells):
    return ["", title, row("", cells)]


def roads_of(results, figure):
    cases = results[figure].values()
    return [road for road in TITLES if any(case.get(road) for case in cases)]


def with_range(s):
    """One cell of 16: median, and the least and the most of the rounds."""
    if not s:
        return "-".rjust(6) + " " * 10
    return short(s["median"], 6) + f" {short(s['min'], 0)}-{short(s['max'], 0)}".ljust(10)


def stream_table(results):
    cases = STREAM_CASES
    figure = results["stream"]
    lines = heading("Throughput, GB/s: median and range of the rounds; streams and direction",
                    [case.rjust(6).ljust(16) for case in cases])
    for road in roads_of(results, "stream"):
        lines.append(row(TITLES[road], [with_range(figure[case][road].get("gb_per_s")) for case in cases]))
    if any(figure[case].get("hops") for case in cases):
        lines += heading("The same, as a part of the plain three hops", [case.rjust(6).ljust(16) for case in cases])
        for road in roads_of(results, "stream"):
            of_hops = [ratio("stream", case, "gb_per_s", road, "hops")(results) for case in cases]
            lines.append(row(TITLES[road], [with_range(v and dict(zip(("median", "min", "max"), v)))
                                            for v in of_hops]))
    return lines + cpu_table(results)


PLACES = ("near", "middle", "far")


def cpu_table(results):
    figure = results["stream"]
    lines = heading("CPU seconds per GB; near the client, in the middle (hub), far: near the service",
                    [case.center(16) for case in STREAM_CASES])
    lines.append(row("", ["    n    m    f "] * len(STREAM_CASES)))
    for road in roads_of(results, "stream"):
        cells = []
        for case in STREAM_CASES:
            for place in PLACES:
                s = figure[case][road].get(f"{place}_cpu_s_per_gb")
                cells.append(short(s and s["median"], 5))
            cells.append(" ")
        if any(cell.strip(" -") for cell in cells):
            lines.append(row(TITLES[road], cells))
    return lines


def rtt_table(results):
    figure = results["rtt"]
    lines = heading("Round trip, us; + is what the road adds to the plain three hops",
                    [f"{case:>9} p50   p99  +p50  +p99" for case in figure])
    for road in roads_of(results, "rtt"):
        cells = []
        for case in figure:
            s = figure[case][road]
            cells.append(short(s and s["p50_us"]["median"], 13))
            cells.append(short(s and s["p99_us"]["median"], 6))
            for quantile in ("p50_us", "p99_us"):
                added = difference("rtt", case, quantile, road, "hops")(results)
                cells.append(short(added and added[0], 6) if road != "hops" else " " * 6)
        lines.append(row(TITLES[road], cells))
    return lines


def rate_table(results, figure_name, title):
    figure = results[figure_name]
    lines = heading(title, [f"{case:>16}   range     / hops" for case in figure])
    for road in roads_of(results, figure_name):
        cells = []
        for case in figure:
            s = figure[case][road].get("per_s")
            of_hops = ratio(figure_name, case, "per_s", road, "hops")(results)
            span = f"{s['min']:.0f}-{s['max']:.0f}" if s else "-"
            cells.append(f"{s['median']:10.0f}" if s else "-".rjust(10))
            cells.append(span.rjust(14) + short(of_hops and of_hops[0], 8))
        lines.append(row(TITLES[road], cells))
    return lines


def memory_table(results):
    lines = heading("Resident memory, MB (ours, bare)",
                    [word.rjust(12) for word in ("idle", "reached", "loaded", "after")])
    names = {"middle": "hub", "far": "exposing", "near": "reaching"}
    for place, label in names.items():
        mb = results["memory"][place]
        lines.append(row(label, [f"{mb[word]:12.1f}" for word in ("idle_mb", "reached_mb", "loaded_mb", "after_mb")]))
    return lines


def verdict_table(found):
    lines = ["", f"{'To reach':42}{'is':>7}  {'range':13}{'floor':>8}"]
    for v in found:
        if v["ok"] is None:
            continue
        span = f"{short(v['min'], 0)}..{short(v['max'], 0)}" if v["min"] != v["max"] else ""
        lines.append(f"{v['claim']:42}{short(v['value'], 7)}  {span:13}{v['sign'] + ' ' + format(v['bound'], 'g'):>8}"
                     f"  {'ok' if v['ok'] else 'below'}")
    return lines if len(lines) > 2 else []


def table(results, found):
    lines = []
    if "stream" in results:
        lines += stream_table(results)
    if "rtt" in results:
        lines += rtt_table(results)
    if "conn" in results:
        lines += rate_table(results, "conn", "New connections per second: connect, one byte there and back, close")
    if "http" in results:
        lines += rate_table(results, "http", "HTTP requests per second (wrk, nginx, 1 KiB)")
    if "memory" in results:
        lines += memory_table(results)
    return "\n".join(lines + verdict_table(found))
