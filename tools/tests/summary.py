#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""summary.py [--brief] [--without-lab] PATH: what the tests of one ./test came to.

PATH is a JUnit file of CTest's, or a directory of them with an other.tsv beside. Names what failed and
what was skipped, and why; the last line is "N passed, N failed, N skipped". A test program that ran whole,
as one test of CTest's, counts as the GoogleTest tests that it says it ran."""

import argparse
import collections
import glob
import os
import re
import sys
import xml.etree.ElementTree

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
GTEST_END = re.compile(r"^\[ +(OK|FAILED|SKIPPED) +\] ([\w/]+\.[\w/<>, :]+?)(?:, where .*)? \(\d+ ms\)$", re.M)
GTEST_REASON = re.compile(r"^[^\n]*: Skipped\n(.*?)\n*\[  SKIPPED \]", re.M | re.S)
RESTART = "running the command again, once"  # the lab says so: what came before does not count
SKIPS = ("SKIP_RETURN_CODE", "SKIP_REGULAR_EXPRESSION_MATCHED", "Disabled")


def reason_in(output):
    """Why a test says that it was skipped: what GTEST_SKIP() was told, or else its last line."""
    found = GTEST_REASON.search(output)
    lines = (found.group(1) if found else output).strip().splitlines() or ["it gives no reason"]
    return " ".join(line.strip() for line in lines) if found else lines[-1].strip()


def gtest_results(output):
    """(name, outcome, reason, output) of each GoogleTest test in the output of a whole program."""
    begin = 0
    for match in GTEST_END.finditer(output):
        own = output[begin:match.end()]
        begin = match.end()
        outcome = {"OK": PASSED, "FAILED": FAILED, "SKIPPED": SKIPPED}[match.group(1)]
        yield match.group(2), outcome, reason_in(own) if outcome == SKIPPED else "", own


def junit_results(path, restarts):
    """(name, outcome, reason, output) of each test in a file of CTest's; what the lab had to start anew."""
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        name = case.get("name")
        output = case.findtext("system-out") or ""
        skipped, failure = case.find("skipped"), case.find("failure")
        _, restart, rest = output.rpartition(RESTART)
        inner = list(gtest_results(rest))
        if restart:
            restarts.append(name)
        if len(inner) > 1 or inner and inner[0][1] == SKIPPED and skipped is None:  # not one test, but a program
            for test, *rest in inner:
                yield f"{name}: {test}", *rest
            if failure is not None and not any(outcome == FAILED for _, outcome, _, _ in inner):
                yield f"{name}: its end", FAILED, failure.get("message") or "it failed", output[-4000:]
        elif failure is not None or case.get("status") == "fail":
            yield name, FAILED, (failure.get("message") if failure is not None else "") or "it failed", output
        elif skipped is not None:
            why = skipped.get("message") or ""
            if why.startswith(SKIPS):
                yield name, SKIPPED, reason_in(output) if output.strip() else why, output
            else:
                yield name, FAILED, why or "it did not run", output
        else:
            yield name, PASSED, "", output


def other_results(path):
    with open(path) as file:
        for line in file:
            name, outcome, reason = line.rstrip("\n").split("\t")
            yield name, outcome, reason, ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brief", action="store_true", help="one line, and the output of what failed")
    parser.add_argument("--without-lab", action="store_true", help="it is no failure that the lab's part did not run")
    parser.add_argument("path", metavar="PATH")
    options = parser.parse_args()

    runs, restarts = {}, []  # the results, by the name of the run; the tests that the lab started anew
    paths = [options.path] if not os.path.isdir(options.path) else sorted(glob.glob(f"{options.path}/*.xml"))
    for path in paths:
        try:
            runs[os.path.basename(path).removesuffix(".xml")] = list(junit_results(path, restarts))
        except (OSError, xml.etree.ElementTree.ParseError) as error:
            runs[os.path.basename(path)] = [(f"the results in {path}", FAILED, str(error), "")]
    if os.path.exists(other := f"{options.path}/other.tsv"):
        runs["other"] = list(other_results(other))
    if not options.brief and not options.without_lab and \
            not any(outcome == PASSED for _, outcome, _, _ in runs.get("lab", ())):
        runs.setdefault("lab", []).append(("the lab's part", FAILED, "it did not run", ""))

    count = collections.Counter(outcome for results in runs.values() for _, outcome, _, _ in results)
    total = f"{count[PASSED]} passed, {count[FAILED]} failed, {count[SKIPPED]} skipped"
    if options.brief:
        print(total)
        for results in runs.values():
            for name, outcome, reason, output in results:
                if outcome == FAILED:
                    print(f"    FAILED {name}: {reason}")
                    print("\n".join(f"        {line}" for line in output.strip().splitlines()[-40:]))
        return 0
    for kind in SKIPPED, FAILED:
        where = collections.defaultdict(list)
        for run, results in runs.items():
            for name, outcome, reason, _ in results:
                if outcome == kind:
                    where[name, reason].append(run)
        if where:
            print(f"\n{kind}:")
            for (name, reason), names in sorted(where.items()):
                print(f"    {name}: {reason} ({', '.join(names)})")
    if restarts:
        print(f"\nrestarted, for the lab's QEMU failed: {', '.join(restarts)}")
    print(f"\n{total}")
    return 1 if count[FAILED] or not count[PASSED] else 0


if __name__ == "__main__":
    sys.exit(main())
