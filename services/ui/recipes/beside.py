"""What the workbench shows of recipes beside the edits: warnings, and the way to save them."""

from services.ui import predict
from services.ui.recipes import guards, saving
from services.ui.session import state
from steerboard.spec.edits import SteerSet
from steerboard.spec.requests import Margin


def show(data: bytes, steer: SteerSet, target: Margin) -> None:
    """Guard rails of these edits on the open picture, and ``Save as recipe``."""
    if not steer.edits:
        return
    classifier = predict.prompts()
    guards.show(data, state().picture, classifier, steer, target)
    saving.offer(steer, classifier)
