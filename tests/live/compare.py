"""Whether `callflow live` told what `callflow check` says of the same packets, and whether the scenarios show what they are
made for. Reads NAME.live.out (NDJSON) and NAME.json of FOLDER for each NAME, prints what it compared, and fails on any difference.

    compare.py FOLDER NAME...
"""
import collections
import json
import pathlib
import sys

# What the start of a Call-ID (see tests/live/run) promises: how many calls, their outcome (None: any), and the findings
# that must be there. Where none is promised, nothing but notes may be found, and what comes of a machine that is busy.
CALLERS = {
    "registered-caller": (1, "registered", set()),
    "refused": (2, "refused", {"A04"}),
    "answered": (2, "answered", set()),
    "answered-tcp": (2, "answered", set()),
    "answered-tcp-to-udp": (1, "answered", set()),
    "challenged": (1, "answered", set()),
    "reinvite": (1, "answered", set()),
    "prack": (1, "answered", set()),
    "busy": (2, "busy", set()),
    "cancelled": (2, "cancelled", set()),
    "unknown": (2, "rejected", {"E01"}),
    "no-ack": (1, None, {"I01"}),
    "answered-later": (1, "answered", set()),
    "refused-later": (1, "refused", {"A04"}),
}
CALLEES = {"registered": (7, "registered", set()), "registered-tcp": (1, "registered", set())}
# On the side of the caller, the BYE is refused with 408 by the proxy; on the other side it is seen to stay unanswered.
EXPECTED = {
    "one": CALLERS | {"bye-lost": (1, "answered", {"B02"})},
    "any": CALLERS | CALLEES | {"bye-lost": (1, "answered", {"B01"})},
    "two": CALLERS | CALLEES | {"bye-lost": (1, "answered", {"B01"})},
    "gone": {"before": (1, "answered", set()), "after": (1, "refused", {"A04"})},
}
# First responses and retransmissions that are late.
BUSY = {"T02", "T05", "T06", "T08", "T11"}


def scenario(call_id):
    return call_id.rsplit("-", 2)[0]


def live(path):
    """Calls by id (the last line of each counts) and all findings."""
    calls, findings, rest = {}, [], {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        if entry["type"] == "call":
            calls[entry["id"]] = entry
        elif entry["type"] == "finding":
            findings.append(entry)
        else:
            rest.setdefault(entry["type"], []).append(entry)
    return list(calls.values()), findings, rest


def key(finding):
    return tuple(str(finding[name]) for name in ("call_id", "rule", "verdict", "severity", "cause"))


def shape(call):
    reference = call["reference"] or {"flow": None}
    return call["kind"], call["outcome"], reference["flow"], len(call["messages"]), len(call["participants"])


def differences(what, told, checked):
    """Lines about two multisets."""
    for sign, (one, other) in (("live alone", (told, checked)), ("check alone", (checked, told))):
        for entry, times in sorted((one - other).items(), key=str):
            yield f"{sign}: {what} {' '.join(map(str, entry))}" + (f" ({times} times)" if times > 1 else "")


def compare(folder, name):
    calls, findings, rest = live(folder / f"{name}.live.out")
    document = json.loads((folder / f"{name}.json").read_text())
    wrong = []
    wrong += differences("call", *(
        collections.Counter(("+".join(sorted(call["call_ids"])), *shape(call)) for call in side)
        for side in (calls, document["calls"])))
    wrong += differences("finding", *(collections.Counter(map(key, side)) for side in (findings, document["findings"])))

    print(f"\n{name}: {len(calls)} calls and {len(findings)} findings told, {len(document['calls'])} and "
          f"{len(document['findings'])} by check; packets {sum(c['packets'] for c in rest['capture'])} and "
          f"{sum(c['packets'] for c in document['captures'])}, dropped {sum(c['drops'] for c in rest['capture'])}")
    print(f"  {'scenario':22}{'calls':>6}  {'outcome':12}{'flow':24}{'messages':>9}  findings (verdict, cause)")
    by_scenario = collections.defaultdict(list)
    for call in calls:
        by_scenario[scenario(call["call_ids"][0])].append(call)
    found = collections.defaultdict(collections.Counter)
    for finding in findings:
        found[scenario(finding["call_id"] or "-")][f"{finding['rule']} {finding['severity']} {finding['verdict']} {finding['cause']}"] += 1
    for which in sorted(set(by_scenario) | set(found)):
        group = by_scenario[which]
        flows = " ".join(sorted({str(shape(call)[2]) for call in group}))
        outcomes = " ".join(sorted({call["outcome"] for call in group}))
        lines = [f"{times} x {text}" for text, times in sorted(found[which].items())] or ["-"]
        print(f"  {which or '(the whole)':22}{len(group):>6}  {outcomes:12}{flows:24}{sum(len(c['messages']) for c in group):>9}  {lines[0]}")
        for line in lines[1:]:
            print(f"{'':79}{line}")

    wrong += [f"{which} was not made" for which in sorted(set(by_scenario) - set(EXPECTED[name]))]
    for which, (times, outcome, rules) in EXPECTED[name].items():
        group = by_scenario.get(which, [])
        if len(group) != times:
            wrong.append(f"{which}: {len(group)} calls, {times} were made")
        for call in group:
            if outcome and call["outcome"] != outcome:
                wrong.append(f"{which}: {call['outcome']} instead of {outcome}")
            of_call = {f["rule"] for f in findings if f["call_id"] in call["call_ids"] and f["severity"] != "info"}
            if not rules <= of_call or (not rules and of_call - BUSY):
                wrong.append(f"{which}: found {sorted(of_call)} instead of {sorted(rules)}")
    return wrong


def main():
    folder = pathlib.Path(sys.argv[1])
    wrong = [f"{name}: {line}" for name in sys.argv[2:] for line in compare(folder, name)]
    print()
    for line in wrong:
        print("DIFFERS", line)
    print(f"live and check say {'the same' if not wrong else 'not the same'} of {', '.join(sys.argv[2:])}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
