#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of the documents from the measurements in bench/results, and the pictures beside them.

usage: tables.py [--check] [DOCUMENT...]      (README.md and docs/*.md)
  --check   changes nothing; status 1 where a table or a picture is not its measurement's

In a document, what stands between these lines is written anew (FILE: in bench/results):
  <!-- accuracy FILE -->      bench/peers/accuracy.py's table
  <!-- train_step FILE -->    bench/peers/train_step.py's
  <!-- loader FILE -->        bench/peers/loader.py's
  <!-- serve FILE -->         bench/peers/serve.py's
  <!-- operations FILE -->    petnet-bench's operations, summed up by kind, and its steps
  <!-- roofline FILE -->      pictures of petnet-bench's operations, one for each precision, written beside the document
  <!-- peers FILE -->         bench/peers/compare's table and chart
  <!-- peaks FILE -->         bench/peers/peaks.py's
  <!-- end -->
"""
import argparse
import importlib.machinery
import importlib.util
import json
import pathlib
import re
import sys

sys.dont_write_bytecode = True
here = pathlib.Path(__file__).resolve().parent
root = here.parent
sys.path[:0] = [str(here), str(here / "peers")]

import accuracy  # noqa: E402  (found by the line above)
import loader  # noqa: E402
import peaks  # noqa: E402
import roofline  # noqa: E402
import serve  # noqa: E402
import train_step  # noqa: E402


def load_script(path):
    """A program whose name has no .py, as a module."""
    source = importlib.machinery.SourceFileLoader(path.name, str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(path.name, source))
    source.exec_module(module)
    return module


compare = load_script(here / "peers/compare")
BLOCK = re.compile(r"<!-- (accuracy|train_step|loader|serve|operations|roofline|peers|peaks) (\S+) -->\n.*?<!-- end -->", re.DOTALL)


def operations_table(result):
    """By kind, of one step of each phase: time, what it moves and computes, of the peaks."""
    peaks = {(peak["precision"], peak["threads"]): peak for peak in result["peaks"]}
    lines = ["| step | operation | count | ms | GB/s | of the copy | GFLOP/s | of the peak |", "|---|---|---|---|---|---|---|---|"]
    for step in (case for case in result["cases"] if case["group"] == "step"):
        key = (step["precision"], step["threads"])
        peak = peaks[key]
        compute = roofline.compute_peak(peak)
        kinds = {}
        for case in result["cases"]:
            count = case["counts"].get(step["phase"], 0)
            if count and "hot" in case and (case["precision"], case["threads"], case["batch"]) == (*key, step["batch"]):
                kind = kinds.setdefault(case["group"], [0, 0, 0, 0])
                for i, value in enumerate([1, case["hot"]["median"], case["bytes"], case["flops"]]):
                    kind[i] += count * value

        def row(what, count, seconds, moved, flops):
            gb, gflop = 1e-9 * moved / seconds, 1e-9 * flops / seconds
            return (f"| {step['phase']} {step['precision']} | {what} | {count} | {1e3 * seconds:.2f} | {gb:.1f} | "
                    f"{100 * gb / peak['copy_gb_per_s']:.0f} % | {gflop:.0f} | {100 * gflop / compute:.0f} % |")

        rows = sorted(kinds.items(), key=lambda kind: -kind[1][1])
        lines += [row(name, *kind) for name, kind in rows]
        whole = [sum(kind[i] for kind in kinds.values()) for i in range(4)]
        if whole[0]:
            lines.append(row("**all of these**", *whole))
        seconds = step["hot"]["median"]
        lines.append(row(f"**the step, {step['batch'] / seconds:.1f} images/s**", whole[0] or "", seconds, step["bytes"],
                         step["flops"]))
    return "\n".join(lines)


def generated(kind, name, document):
    """The text of a block, and the pictures it shows: {path: content}."""
    result = json.loads((here / "results" / name).read_text(encoding="utf-8"))
    if kind == "roofline":
        pictures = {precision: document.parent / f"{pathlib.Path(name).stem}-{precision}.svg"
                    for precision in roofline.precisions(result)}
        return ("\n\n".join(f"![{roofline.title(result, precision)}]({picture.name})" for precision, picture in pictures.items()),
                {picture: roofline.draw(result, precision) for precision, picture in pictures.items()})
    if kind == "peers":
        picture = document.parent / (pathlib.Path(name).stem + ".svg")
        return f"{compare.table(result)}\n\n![petnet beside other software]({picture.name})", {picture: compare.chart(result)}
    tables = {"accuracy": accuracy.table, "train_step": train_step.table, "loader": loader.table, "serve": serve.table,
              "operations": operations_table, "peaks": peaks.table}
    return tables[kind](result), {}


def update(document, check):
    """Whether the document was as it should be."""
    text = document.read_text(encoding="utf-8")
    files = {}

    def block(match):
        content, pictures = generated(match[1], match[2], document)
        files.update(pictures)
        return f"<!-- {match[1]} {match[2]} -->\n{content}\n<!-- end -->"

    files[document] = BLOCK.sub(block, text)
    same = True
    for path, content in files.items():
        if path.is_file() and path.read_text(encoding="utf-8") == content:
            continue
        same = False
        name = path.relative_to(root) if path.is_relative_to(root) else path
        if check:
            print(f"{name} is not what bench/results says: ./dev tables writes it anew")
        else:
            path.write_text(content, encoding="utf-8")
            print(f"{name}: written")
    return same


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("documents", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    documents = arguments.documents or [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    same = [update(document.resolve(), arguments.check) for document in documents]
    sys.exit(1 if arguments.check and not all(same) else 0)


if __name__ == "__main__":
    main()
