"""Features chosen by a rule for people to look at: the rule as it is told, done another way."""

from collections import Counter
from pathlib import Path

from bench.feature_sheet import OF_A_CLASS, OFTEN, SELDOM, telling
from steerboard.catalogue.file import Catalogue

DEMO = Path(__file__).parents[2] / "demo"
COUNT = 12


def test_telling_features_detect_a_class_best_and_no_class_takes_all() -> None:
    catalogue = Catalogue(str(DEMO / "catalogue" / "last.parquet"))
    chosen = telling(catalogue, COUNT)
    numbers = catalogue.columns("feature").column("feature").to_pylist()
    usual = {
        card.feature: card.classes[0]
        for card in catalogue.cards(numbers)
        if SELDOM <= card.firing_rate <= OFTEN and card.classes
    }
    assert len(chosen) == COUNT < len(usual) and set(chosen) <= usual.keys()
    taken = Counter(usual[feature].name for feature in chosen)
    assert max(taken.values()) <= OF_A_CLASS
    least = usual[chosen[-1]].ap
    for feature, best in usual.items():  # whoever was passed over is weaker, or its class is full
        if feature not in chosen and best.ap > least:
            stronger = [f for f in chosen if usual[f].name == best.name and usual[f].ap >= best.ap]
            assert len(stronger) == OF_A_CLASS
