"""A network drawn as its blocks, from the image to the logits: what each does, its output, what it costs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from nas.report.architecture import layer_words, shape_words
from nas.report.html.markup import Cell, Markup, Row, joined, number, table, tag
from nas.report.html.svg import LETTER, canvas, figure
from nas.report.tables.format import compact
from search_spaces.structure import Layer, leaves

WIDE, HIGH, GAP = 520, 72, 16  # of the picture; of a block; between two
BOX = 330  # width of a block
BAR = 150  # of a bar beside it
LETTERS = int((BOX - 16) / (LETTER * 0.93))  # of a line in a block


def drawn(tree: Layer, title: str, input_words: str) -> Markup:
    """The picture of a network with the table of all its layers behind it."""
    blocks = [block for block in tree.children if block.children or block.kind != "act"]
    most_params, most_macs = max(b.total_params for b in blocks), max(b.total_macs for b in blocks)
    parts = [_arrow_text(input_words)]
    for place, block in enumerate(blocks):
        parts.append(_block(block, 24 + place * (HIGH + GAP), place, max(most_params, 1), max(most_macs, 1)))
    high = 24 + len(blocks) * (HIGH + GAP)
    words = f"{title}: {len(blocks)} blocks, {tree.total_params:,} parameters and {tree.total_macs:,} MACs in all."
    summary = table(
        ("block", "does", "output", "parameters", "MACs"),
        [Row([b.name or b.kind, in_words(b), shape_words(b.out_shape), number(b.total_params), number(b.total_macs)])
         for b in blocks],
        caption="Blocks",
    )  # fmt: skip
    layers = table(
        ("layer", "what", "output", "parameters", "MACs"),
        [Row([Cell(name), layer_words(layer), shape_words(layer.out_shape), number(layer.params), number(layer.macs)])
         for name, layer in leaves(tree)],
        caption="Every layer",
    )  # fmt: skip
    note = (
        "Bars: parameters (upper) and multiply-accumulates (lower) of each block. Normalization and activation of "
        "convolutions are not shown here; the table has every layer."
    )
    return figure(title, canvas(WIDE, high, words, parts), joined(summary, layers), note)


def _arrow_text(words: str) -> Markup:
    return joined(tag("text", words, x=BOX / 2, y=12, class_="mid"), tag("path", d=f"M{BOX / 2} 16V24", class_="axis"))


def _block(block: Layer, y: float, place: int, most_params: int, most_macs: int) -> Markup:
    name, does = block.name or layer_words(block), in_words(block)
    params, macs = block.total_params, block.total_macs
    bars = []
    for line, (value, most, unit, kind) in enumerate(
        ((params, most_params, "parameters", "c0"), (macs, most_macs, "MACs", "c1"))
    ):
        top = y + 8 + 21 * line
        width = max(1.0, round((BAR - 70) * value / most, 1))
        bars += [tag("rect", x=BOX + 14, y=top, width=width, height=12, class_=kind,
                     data_tip=f"{name}: {value:,} {unit}"),
                 tag("text", compact(value), x=BOX + 20 + width, y=top + 11, class_="small")]  # fmt: skip
    return joined(
        tag("rect", x=1, y=y, width=BOX - 2, height=HIGH, rx=6, class_=f"block b{place % 2}", data_tip=does),
        tag("text", name, x=10, y=y + 20, class_="strong"),
        tag("text", shape_words(block.out_shape), x=BOX - 10, y=y + 20, class_="end"),
        [
            tag("text", line, x=10, y=y + 41 + 17 * place, class_="small")
            for place, line in enumerate(_lines(brief(block)))
        ],
        tag("path", d=f"M{BOX / 2} {y + HIGH}v{GAP - 2}", class_="axis"),
        bars,
    )


def _lines(text: str) -> list[str]:
    """In two lines of a block; what has no room is left out."""
    lines = textwrap.wrap(text, LETTERS, break_long_words=True) or [""]
    return [lines[0], f"{lines[1][: LETTERS - 2]} …"] if len(lines) > 2 else lines


def brief(layer: Layer) -> str:
    """Text of a block without the normalization and activation of each convolution: "3 × residual (2 × conv 3x3)"."""
    if not layer.children:
        return "skip" if layer.kind == "sequence" else layer_words(layer)
    words = [f"{child.name} {brief(child)}" if layer.kind == "cell" else brief(child)
             for child in layer.children if child.kind not in ("norm", "act")]  # fmt: skip
    inside = ", ".join(_counted([word for word in words if word]))
    if layer.kind == "sequence":
        return inside or in_words(layer)
    return f"{layer.kind.replace('_', ' ')} ({inside})"


def in_words(layer: Layer) -> str:
    """Text of a block, alike parts counted: "5 × concat (batch norm, relu, conv 1x1, ...)"."""
    if not layer.children:
        return "skip" if layer.kind == "sequence" else layer_words(layer)
    only = len(layer.children) == 1
    inside = ", ".join(_counted([in_words(child) if only else _plain(child) for child in layer.children]))
    return inside if layer.kind == "sequence" else f"{layer.kind.replace('_', ' ')} ({inside})"


def _plain(layer: Layer) -> str:
    return f"[{in_words(layer)}]" if layer.kind == "sequence" and len(layer.children) > 1 else in_words(layer)


def _counted(words: Sequence[str]) -> Iterator[str]:
    for word, alike in groupby(words):
        count = sum(1 for _ in alike)
        yield f"{count} × {word}" if count > 1 else word
