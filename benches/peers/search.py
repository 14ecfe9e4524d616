"""Likeness beside other engines of exact search: time of a search, one thread each, interleaved.

All engines hold the same random unit vectors and answer the same probes, turn by turn within one run, so that a slow
minute of the machine hits all of them. `LIKENESS_BIN` is the release binary. Engines:

- faiss Flat: all inner products in 32-bit floats; its answers are what the others' are compared with.
- faiss SQ8: 8-bit codes, answers not exact. faiss RaBitQ: 1-bit codes, answers far from exact.
- usearch: exact search in 32-bit floats.
- NumKong: inner products of all rows only, in 32-bit floats and in 8-bit integers; nothing is selected from them.

Times are of one search (those of a batch divided by its size): the median of the turns. "alike" is the share of Flat's
hits that an engine finds; "same" is whether all of them are found, in the same order but for equal cosines.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import faiss  # noqa: E402
import numkong  # noqa: E402
import numpy  # noqa: E402
import usearch.index  # noqa: E402


def unit_vectors(random, n_rows, dimensions):
    """Random directions, the hardest gallery: the tenth best is hardly better than the thousandth."""
    rows = random.standard_normal((n_rows, dimensions), dtype=numpy.float32)
    return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)


class Faiss:
    def __init__(self, index, vectors):
        index.train(vectors[:100_000])
        for first in range(0, len(vectors), 100_000):
            index.add(vectors[first:first + 100_000])
        self.index = index

    def search(self, probes, top_k):
        return self.index.search(probes, top_k)[1]


class Usearch:
    def __init__(self, vectors):
        self.vectors = vectors

    def search(self, probes, top_k):
        found = usearch.index.search(self.vectors, probes, top_k, usearch.index.MetricKind.IP, exact=True, threads=1)
        return numpy.asarray(found.keys).reshape(len(probes), -1)


class NumKong:
    """Inner products only."""

    def __init__(self, vectors, integers):
        self.scale = 127 / float(numpy.abs(vectors).max()) if integers else None
        self.packed = numkong.dots_pack(self.typed(vectors))

    def typed(self, rows):
        return numpy.rint(rows * self.scale).astype(numpy.int8) if self.scale else rows

    def search(self, probes, top_k):
        for first in range(0, len(probes), 16):
            numkong.dots_packed(self.typed(probes[first:first + 16]), self.packed)


class Likeness:
    """Our side: a process that measures a turn for each line it is given."""

    def __init__(self, folder, args, threads):
        command = [os.environ["LIKENESS_BIN"], "bench", "search", "--faces", args.faces, "--dimensions", args.dimensions]
        command += ["--queries", args.queries, "--top-k", args.top_k, "--threads", threads, "--turns", "--answers"]
        command += ["--vectors", folder / "vectors", "--probes", folder / "probes", "--json"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([str(word) for word in command], stdin=pipe, stdout=pipe, text=True)

    def turn(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"likeness ended with {self.process.wait()}")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def compared(found, flat, scores):
    """Share of Flat's hits that were found, and whether all are, in order but for cosines equal within rounding."""
    alike = numpy.mean([len(set(ours) & set(theirs)) / len(theirs) for ours, theirs in zip(found, flat)])
    same = all(
        ours == theirs or abs(scores(probe, ours) - scores(probe, theirs)) < 1e-6
        for probe, (row, flat_row) in enumerate(zip(found, flat))
        for ours, theirs in zip(row, flat_row)
    )
    return f"{alike:.3f}", "yes" if same else "no"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--queries", type=int, default=16, help="searches of each engine in a turn")
    parser.add_argument("--batch", type=int, default=1, help="searches asked together")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each engine")
    parser.add_argument("--top-k", type=int, default=10)
    parser.add_argument("--filter", type=int, action="append", default=[], help="also ours with a filter that keeps P %%")
    parser.add_argument("--two-threads", action="store_true", help="also ours on two threads")
    parser.add_argument("--engines", default="flat,sq8,rabitq,usearch,numkong-f32,numkong-i8")
    parser.add_argument("--markdown", action="store_true", help="print the table as docs/performance.md has it")
    args = parser.parse_args()
    faiss.omp_set_num_threads(1)
    random = numpy.random.default_rng(1)
    vectors = unit_vectors(random, args.faces, args.dimensions)
    probes = unit_vectors(random, args.queries, args.dimensions)
    inner_product = faiss.METRIC_INNER_PRODUCT
    makers = {
        "flat": lambda: Faiss(faiss.IndexFlatIP(args.dimensions), vectors),
        "sq8": lambda: Faiss(
            faiss.IndexScalarQuantizer(args.dimensions, faiss.ScalarQuantizer.QT_8bit, inner_product), vectors),
        "rabitq": lambda: Faiss(faiss.IndexRaBitQ(args.dimensions, inner_product), vectors),
        "usearch": lambda: Usearch(vectors),
        "numkong-f32": lambda: NumKong(vectors, integers=False),
        "numkong-i8": lambda: NumKong(vectors, integers=True),
    }
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        vectors.tofile(folder / "vectors")
        probes.tofile(folder / "probes")
        ours = {"likeness": Likeness(folder, args, 1)}
        if args.two_threads:
            ours["likeness, two threads"] = Likeness(folder, args, 2)
        for process in ours.values():
            process.turn(args.batch)
    engines = {name: makers[name]() for name in dict.fromkeys(["flat", *args.engines.split(",")])}
    turns = {f"{name}{suffix}": (process, line) for name, process in ours.items()
             for suffix, line in [("", f"{args.batch}"), *((f", filter {p} %", f"{args.batch} {p}") for p in args.filter)]}
    walls = {name: [] for name in [*turns, *engines]}
    cpus = {name: [] for name in walls}
    answers = {}
    for _ in range(args.rounds):
        for name, (process, line) in turns.items():
            measured = process.turn(line)
            walls[name].append(measured["wall_ms"])
            cpus[name].append(measured["cpu_ms"])
            answers[name] = [[row for row, _ in hits] for hits in measured["answers"]]
        for name, engine in engines.items():
            found, taken, before = [], [], time.process_time()
            for first in range(0, args.queries, args.batch):
                asked = probes[first:first + args.batch]
                start = time.perf_counter()
                hits = engine.search(asked, args.top_k)
                taken.append(1000 * (time.perf_counter() - start) / len(asked))
                found.append(hits)
            cpus[name].append(1000 * (time.process_time() - before) / args.queries)
            walls[name].append(statistics.median(taken))
            if found[0] is not None:
                answers[name] = [list(map(int, row)) for row in found[0][:args.batch]]
    memory = {name: ours[name].turn(args.batch)["bytes_per_face"] for name in ours}
    for process in ours.values():
        process.close()

    def scores(probe, row):
        return float(probes[probe].astype(numpy.float64) @ vectors[row].astype(numpy.float64))

    wall = {name: statistics.median(column) for name, column in walls.items()}
    cpu = {name: statistics.median(column) for name, column in cpus.items()}
    rows = []
    for name in walls:
        alike, same = "", ""
        if name in answers and "filter" not in name:
            alike, same = compared(answers[name], answers["flat"], scores)
        ratios = [f"{cpu[name] / cpu[peer]:.3f}" if peer in cpu else "" for peer in ("sq8", "flat")]
        rows.append([name, f"{wall[name]:.3f}", f"{min(walls[name]):.3f}", f"{cpu[name]:.3f}", *ratios, alike, same])
    print(f"{args.faces} x {args.dimensions}, top {args.top_k}, {args.batch} together, {args.rounds} rounds; "
          f"faiss {faiss.__version__} ({faiss.get_compile_options().strip()}), usearch {usearch.__version__}, "
          f"NumKong {numkong.__version__}; bytes a face, ours: {memory['likeness']:.0f}")
    show(["engine", "ms", "least", "CPU ms", "CPU / SQ8", "CPU / Flat", "alike", "same"], rows, args.markdown)


def show(head, rows, markdown):
    """A table for the terminal or for a Markdown page."""
    if markdown:
        print("| " + " | ".join(head) + " |")
        print("|" + "---|" * len(head))
        for row in rows:
            print("| " + " | ".join(row) + " |")
        return
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


if __name__ == "__main__":
    main()
