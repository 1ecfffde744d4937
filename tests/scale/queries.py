"""Runs every query of docs/scale.md in DuckDB on a lake written from testdata/, and compares counts with the JSON report.

usage: queries.py CALLFLOW   (from the folder of the project; needs the Python package duckdb)
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import duckdb

ROOT = pathlib.Path(__file__).resolve().parents[2]
CAPTURES = ROOT / "testdata" / "captures"


def main() -> None:
    program = str(pathlib.Path(sys.argv[1]).resolve())
    queries = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "scale.md").read_text(), re.S)
    assert queries, "docs/scale.md has no queries"
    with tempfile.TemporaryDirectory() as folder:
        lake = pathlib.Path(folder) / "lake"
        export = [program, "export", "--each", "--parquet", "lake", str(CAPTURES)]
        written = []
        for _ in range(2):
            done = subprocess.run(export, cwd=folder, capture_output=True, text=True)
            assert done.returncode in (0, 3), (done.returncode, done.stderr)
            written.append({path.relative_to(lake): path.read_bytes() for path in lake.rglob("*.parquet")})
        assert written[0] == written[1], "the second run replaces what the first wrote, byte for byte"
        os.chdir(folder)
        for query in queries:
            rows = duckdb.sql(query).fetchall()
            assert rows, f"no rows: {query}"
            print(query.strip().splitlines()[0][:100], f"... {len(rows)} rows, first {rows[0]}", sep="\n  ")
        compare(program)
    print(f"{len(queries) + 3} passed, 0 failed")


def compare(program: str) -> None:
    """The tables hold as many rows as the JSON report has entries."""
    lines = subprocess.run([program, "check", "--each", "--format", "ndjson", str(CAPTURES)], capture_output=True, text=True)
    objects = [json.loads(line) for line in lines.stdout.splitlines()]
    calls = [one for one in objects if one["type"] == "call"]
    wanted = {
        "calls": len(calls),
        "messages": sum(len(call["messages"]) for call in calls),
        "findings": sum(one["type"] == "finding" for one in objects),
    }
    for table, count in wanted.items():
        [(held,)] = duckdb.sql(f"SELECT count(*) FROM read_parquet('lake/{table}/**/*.parquet')").fetchall()
        assert held == count, (table, held, count)
        print(f"{table}: {held} rows, as in the JSON report")


main()
