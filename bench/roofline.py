#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A roofline (Williams, Waterman, Patterson 2009) of what petnet-bench measured, as SVG.

usage: roofline.py RESULT.json PRECISION OUT.svg

Each operation in this precision is a point: what it computes for each byte that it has to move, against what it
achieved. The roof is what the machine can at best: its copy bandwidth times the intensity, up to its multiply-adds.
Filled points are measured with warm caches, from which more can come than from memory; hollow ones with emptied caches.
"""
import html
import json
import math
import pathlib
import sys

WIDTH, HEIGHT = 860, 560
LEFT, RIGHT, TOP, BOTTOM = 70, 240, 56, 56
# Okabe and Ito's colours, which colour-blind readers tell apart too; a shape for each where they repeat.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000"]
SHAPES = ["circle", "square", "triangle"]


def compute_peak(peak):
    """GFLOP/s of the precision; fused multiply-adds of a processor are float32."""
    fma = peak["fma_gflop_per_s"] if peak["precision"] == "fp32" else 0
    return max(fma, peak["gemm_gflop_per_s"])


def precisions(result):
    return sorted({peak["precision"] for peak in result["peaks"]})


def title(result, precision):
    return f"Roofline of {result['device']}, {precision}"


def points_of(result, precision):
    """(kind, intensity in FLOP/byte, GFLOP/s warm, GFLOP/s cold) of each operation that computes."""
    return [(case["group"], case["flops"] / case["bytes"], 1e-9 * case["flops"] / case["hot"]["median"],
             1e-9 * case["flops"] / case["cold"]["median"])
            for case in result["cases"] if case["precision"] == precision and "cold" in case and case["flops"] > 0
            and case["cold"]["median"] > 0 and case["hot"]["median"] > 0]


class Axis:
    """A logarithmic one, from a power of ten to a power of ten."""

    def __init__(self, values, begin, end):
        self.least, self.most = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        self.begin, self.end = begin, end

    def at(self, value):
        return self.begin + (math.log10(value) - self.least) / (self.most - self.least) * (self.end - self.begin)

    def ticks(self):
        return [10.0**power for power in range(self.least, self.most + 1)]


def marker(shape, x, y, colour, filled):
    paint = f'fill="{colour}" fill-opacity="0.8"' if filled else f'fill="none" stroke="{colour}" stroke-opacity="0.7"'
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" {paint}/>'
    if shape == "square":
        return f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7" {paint}/>'
    return f'<path d="M{x:.1f} {y - 5:.1f}l4.5 8.5h-9z" {paint}/>'


def text(x, y, words, anchor="start", size=12, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" {more}>{html.escape(words)}</text>'


def draw(result, precision):
    points = points_of(result, precision)
    peaks = [peak for peak in result["peaks"] if peak["precision"] == precision]
    ridges = [compute_peak(peak) / peak["copy_gb_per_s"] for peak in peaks]
    x = Axis([point[1] for point in points] + ridges, LEFT, WIDTH - RIGHT)
    y = Axis([rate for point in points for rate in point[2:]] + [compute_peak(peak) for peak in peaks],
             HEIGHT - BOTTOM, TOP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
           'font-family="sans-serif">', f'<title>{html.escape(title(result, precision))}</title>',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
           text(LEFT, 24, title(result, precision), size=15),
           text(LEFT, 42, f"petnet-bench {result['version']}, {result['date'][:10]}; filled: warm caches, hollow: "
                "emptied", size=11, more='fill="#555555"')]
    for tick in x.ticks():
        out.append(f'<path d="M{x.at(tick):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#e4e4e4"/>')
        out.append(text(x.at(tick), HEIGHT - BOTTOM + 17, f"{tick:g}", "middle", 11))
    for tick in y.ticks():
        out.append(f'<path d="M{LEFT} {y.at(tick):.1f}H{WIDTH - RIGHT}" stroke="#e4e4e4"/>')
        out.append(text(LEFT - 7, y.at(tick) + 4, f"{tick:g}", "end", 11))
    out.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, "FLOP for each byte that has to be moved", "middle"))
    out.append(text(20, (TOP + HEIGHT - BOTTOM) / 2, "GFLOP/s", "middle",
                    more=f'transform="rotate(-90 20 {(TOP + HEIGHT - BOTTOM) / 2:.1f})"'))

    out.append(f'<clipPath id="plot"><rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" '
               f'height="{HEIGHT - TOP - BOTTOM}"/></clipPath><g clip-path="url(#plot)" fill="none">')
    left, right = x.ticks()[0], x.ticks()[-1]
    for peak, ridge in zip(peaks, ridges):
        roof = compute_peak(peak)
        out.append(f'<path d="M{x.at(left):.1f} {y.at(left * peak["copy_gb_per_s"]):.1f}L{x.at(ridge):.1f} {y.at(roof):.1f}'
                   f'L{x.at(right):.1f} {y.at(roof):.1f}" stroke="#222222" stroke-width="1.5"/>')
    out.append("</g>")
    for peak, ridge in zip(peaks, ridges): # left of the ridge, above the roof: few operations are there
        threads = f"{peak['threads']} threads: " if peak["threads"] else ""
        out.append(text(x.at(ridge) - 8, y.at(compute_peak(peak)) + 4,
                        f"{threads}{compute_peak(peak):.0f} GFLOP/s, {peak['copy_gb_per_s']:.1f} GB/s", "end", 11))

    kinds = sorted({point[0] for point in points})
    for i, kind in enumerate(kinds):
        colour, shape = COLOURS[i % len(COLOURS)], SHAPES[i // len(COLOURS) % len(SHAPES)]
        out.append(f"<g><title>{html.escape(kind)}</title>")
        for of, intensity, hot, cold in points:
            if of == kind:
                out.append(marker(shape, x.at(intensity), y.at(cold), colour, False))
                out.append(marker(shape, x.at(intensity), y.at(hot), colour, True))
        out.append("</g>")
        out.append(marker(shape, WIDTH - RIGHT + 20, TOP + 10 + 20 * i, colour, True))
        out.append(text(WIDTH - RIGHT + 32, TOP + 14 + 20 * i, kind))
    return "\n".join(out) + "\n</svg>\n"


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    measured = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    pathlib.Path(sys.argv[3]).write_text(draw(measured, sys.argv[2]), encoding="utf-8")
