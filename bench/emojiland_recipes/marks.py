"""Watermark and strip of words, mended behind the first block, where they still lie where drawn."""

import torch

from bench.emojiland_recipes import scenes
from bench.emojiland_recipes.fitting import Seen, broken, edits_of, fitted, lesson, seen
from bench.emojiland_recipes.learning import Added, Placed
from bench.emojiland_recipes.seeing import Gate, detector, unsaid
from bench.emojiland_recipes.workshop import Workshop
from steerboard.spec.edits import SteerSet
from steerboard.spec.recipe import ChosenOn, Recipe

BLOCK = 0
FIT, CHOOSE = 620, 400  # pairs of scenes
FAILING = 300  # of them are fitted on
STRIPS, STRIPS_CHOOSE, STRIPS_FAILING = 2800, 800, 1300  # the same for strips of words
DIRECTIONS = 8  # that are set under a strip
WITHIN, AGAINST = 0.085, 2.0  # controls of strips, with a margin to ``AT_MOST``; their price
FALSE = 0.005  # of the tokens there may be taken for covered, in clean pictures
UNSAID = 30.0  # price of reading in the output what the MLP's input does not say
COVERED = 0.35  # median norms by which a strip moves a patch that it covers


def looked_at(attack: str, fit: int = FIT, choose: int = CHOOSE) -> tuple[ChosenOn, ...]:
    """What a recipe was fitted on and chosen by."""
    spans = ((fit, scenes.FITTING), (choose, scenes.CHOOSING))
    both = (pair for count, first in spans for pair in scenes.pairs(attack, count, first))
    return (scenes.chosen(entry for pair in both for entry in pair),)


def both(shop: Workshop, attack: str, count: int, first: int) -> tuple[Seen, Seen]:
    """Attacked scenes and their twins."""
    found = list(scenes.pairs(attack, count, first))
    one, two = (seen(shop, [pair[i] for pair in found], BLOCK) for i in (0, 1))
    return one, two


def watermark(shop: Workshop) -> Recipe:
    """At the patches that the mark covers, where it is seen: the small vectors that mend most."""
    marked, clean = both(shop, "watermark", FIT, scenes.FITTING)
    gate = mark_gate(shop, marked, clean)
    tokens = list(gate.tokens)
    back = (clean.x - marked.x)[:, tokens].mean(0)
    fit_on = lesson(shop, BLOCK, marked, clean.right & ~marked.right, FAILING)
    other, twin = both(shop, "watermark", CHOOSE, scenes.CHOOSING)
    choose_on = lesson(shop, BLOCK, other, twin.right & ~other.right)
    move = Added(gate, 0.35 * back)
    fitted([move], (11.0, 10.0, 9.0, 8.0), fit_on, choose_on, 6, 0.05)
    print("  broken", broken([move], twin, choose_on))
    return shop.recipe(
        "no-watermark", SteerSet(edits=tuple(edits_of(shop, BLOCK, move))),
        {"group": "watermark"},
        "At the four patches that a watermark covers, where one is seen: small vectors, fitted"
        " to mend, are added.",
        "vectors fitted by gradient, their size held; a linear detector of marked tokens",
        looked_at("watermark"),
    )  # fmt: skip


def mark_gate(shop: Workshop, marked: Seen, clean: Seen) -> Gate:
    """The four patches that the mark moves most, each where it is seen there."""
    prefix = shop.info.prefix_tokens
    moved = (marked.x - clean.x).norm(dim=-1)[:, prefix:].mean(0)
    tokens = (moved.argsort(descending=True)[:4].sort().values + prefix).tolist()
    own = marked.x[:, tokens].flatten(0, 1)
    direction = detector(own, clean.x[:, prefix:].flatten(0, 1))
    low = (clean.x[:, tokens] @ direction).quantile(0.999)
    tau = float((low + (own @ direction).quantile(0.02)) / 2)
    return Gate(tuple(tokens), direction, tau, "token")


def strip(shop: Workshop) -> Recipe:
    """Where a token is seen to be covered by a strip: a few directions are set, on each side."""
    marked, clean = both(shop, "typographic", STRIPS, scenes.FITTING)
    starts = [strip_start(shop, marked, clean, top) for top in (True, False)]
    fit_on = lesson(shop, BLOCK, marked, clean.right & ~marked.right, STRIPS_FAILING)
    other, twin = both(shop, "typographic", STRIPS_CHOOSE, scenes.CHOOSING)
    choose_on = lesson(shop, BLOCK, other, twin.right & ~other.right)
    moves = [Placed(*start) for start in starts]
    fitted(moves, (19.0, 17.0, 15.5, 14.5), fit_on, choose_on, 6, 0.03, WITHIN, AGAINST)
    print("  broken", broken(moves, twin, choose_on))
    edits = [e for move in moves for e in edits_of(shop, BLOCK, move)]
    return shop.recipe(
        "no-strip", SteerSet(edits=tuple(edits)), {"group": "typographic"},
        "At tokens at the top or the bottom that a strip of words is seen to cover: eight"
        " directions, fitted to mend, are set.",
        "directions fitted by gradient against random changes of their size, which is held; linear"
        " detectors of covered tokens, one a side",
        looked_at("typographic", STRIPS, STRIPS_CHOOSE),
    )  # fmt: skip


def strip_start(shop: Workshop, marked: Seen, clean: Seen, top: bool):
    """Gate, directions ``[k, d]`` and values ``[k]`` for strips on one side, before the fit.

    What strips move most is set to its mean without one.
    """
    prefix, columns = shop.info.prefix_tokens, shop.info.grid[1]
    last = marked.x.shape[1]
    tokens = range(prefix, prefix + 2 * columns) if top else range(last - 2 * columns, last)
    moved = (marked.x - clean.x).norm(dim=-1)
    ends = moved[:, prefix : prefix + columns].mean(1) > moved[:, -columns:].mean(1)
    mine = ends if top else ~ends
    n_bar = shop.info.site(f"resid_post.{BLOCK}").n_bar
    covered = moved[mine][:, list(tokens)] > COVERED * n_bar
    own, none = marked.x[mine][:, list(tokens)][covered], clean.x[mine][:, list(tokens)][covered]
    plain = torch.cat([part[:, prefix:].flatten(0, 1) for part in (clean.x, marked.x[~mine])])
    x, inputs = (
        torch.cat([s[:, list(tokens)].flatten(0, 1) for s in pair])
        for pair in ((marked.x, clean.x), (marked.inputs, clean.inputs))
    )
    direction = detector(own, plain, against=UNSAID * unsaid(x, inputs))
    tau = (clean.x[:, list(tokens)] @ direction).quantile(1 - FALSE)
    gate = Gate(tuple(tokens), direction, float(tau), "token")
    rows = torch.linalg.svd(own - none, full_matrices=False).Vh[:DIRECTIONS]
    return gate, rows, rows @ none.mean(0)
