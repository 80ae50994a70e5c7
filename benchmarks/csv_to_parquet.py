"""CSV to Parquet: `vur.stages.upload.upload` beside a bare DuckDB `COPY (FROM read_csv(...)) TO` on the same file.

Each run is a process of its own, so that its peak memory is its own. The two take turns, and the best of `--repeat`
runs counts. VUR's time includes the fingerprint, the check of every byte, the types, the profile and the suggestions.

    python benchmarks/csv_to_parquet.py --size 1000
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

CHILD = """
import json, resource, sys, time
source, target, who = sys.argv[1:]
if who == "vur":
    from vur.stages.upload import upload
    start, cpu = time.perf_counter(), time.process_time()
    rows = upload(source, target + ".d").rows
else:
    import duckdb
    start, cpu = time.perf_counter(), time.process_time()
    rows = duckdb.execute(f"COPY (FROM read_csv('{source}')) TO '{target}' (FORMAT parquet)").fetchall()[0][0]
print(json.dumps({"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu, "rows": rows,
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""

QUERY = """COPY (SELECT (DATE '2015-01-01' + (i // 2000)::INT)::VARCHAR AS date, 'store ' || (i % 50) AS store,
    'item-' || lpad((i // 50 % 40)::VARCHAR, 4, '0') AS item,
    (hash(i) % 500)::INT AS sales, round(10 + (hash(i * 3) % 10000) / 100.0, 2) AS price,
    round((hash(i * 7) % 400000) / 10000.0 - 5, 4)::DOUBLE AS temperature, hash(i * 11) % 10 = 0 AS promo,
    ['sunny', 'cloudy', 'rain', 'storm'][1 + (hash(i * 13) % 4)::INT] AS weather
    FROM range({rows}) t(i)) TO '{path}' (HEADER)"""
BYTES_A_ROW = 59.1


def run(source: Path, target: Path, who: str) -> dict:
    """Time, CPU time and peak memory of one conversion in a child process."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(source), str(target), who], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def measure(size_mb: int, repeat: int) -> list[dict]:
    """Rows of the result table for a file of `size_mb` megabytes."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "sales.csv"
        duckdb.execute(QUERY.format(rows=int(size_mb * 1e6 / BYTES_A_ROW), path=source))
        runs: dict[str, list[dict]] = {"duckdb": [], "vur": []}
        for k in range(repeat):
            for who in runs:
                runs[who].append(run(source, Path(folder) / f"{who}{k}.parquet", who))
        if runs["vur"][0]["rows"] != runs["duckdb"][0]["rows"]:
            raise SystemExit(f"rows differ: {runs['vur'][0]['rows']} and {runs['duckdb'][0]['rows']}")
        best = {
            who: {key: min(r[key] for r in found) for key in ("seconds", "cpu")}
            | {"peak_mb": max(r["peak_mb"] for r in found)}
            for who, found in runs.items()
        }
        size = source.stat().st_size / 1e6
    return [
        {
            "what": name,
            "file_mb": round(size),
            "seconds": round(best[who]["seconds"], 2),
            "cpu_seconds": round(best[who]["cpu"], 2),
            "speed_ratio": round(best["duckdb"]["seconds"] / best[who]["seconds"], 2),
            "cpu_ratio": round(best["duckdb"]["cpu"] / best[who]["cpu"], 2),
            "peak_mb": round(best[who]["peak_mb"]),
        }
        for who, name in (("duckdb", "bare DuckDB COPY"), ("vur", "vur upload"))
    ]


def main(arguments: list[str] | None = None) -> list[dict]:
    """Run the benchmark, print a markdown table and return its rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1000, help="megabytes of CSV (default 1000)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the best counts (default 3)")
    options = parser.parse_args(arguments)
    rows = measure(options.size, options.repeat)
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |")
    return rows


if __name__ == "__main__":
    main()
