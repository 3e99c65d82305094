"""A recipe on a plain open_clip model, in a program of one's own, without a server.

    model, _, preprocess = open_clip.create_model_and_transforms("local-dir:model")
    with steerboard.apply(model.eval(), recipe, dictionaries={"middle": "middle.safetensors"}):
        model.encode_image(pixels)

Inside the ``with`` the image tower runs as the explicit pass that the Runner runs too, with the
edits at their sites; behind it the model is as it was.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from steerboard.dictionary.formats import Hints, read
from steerboard.dictionary.native import DictionaryFile
from steerboard.model.check import check_steer_set
from steerboard.model.edits import Editor, Known, Layout
from steerboard.model.tower import Tower
from steerboard.model.towers import read_tower
from steerboard.recipe.making import noise
from steerboard.recipe.shape import shape_of
from steerboard.spec.edits import Feature
from steerboard.spec.errors import DictionaryMisfit, InvalidRequest, NotFound
from steerboard.spec.recipe import DictionaryPin, Recipe

Dictionaries = Mapping[str, str | Path | DictionaryFile]
ALIKE = 1e-3  # cosine distance of the witness's embedding: other precision passes, others do not


class Applied:
    """The model while it is steered; use it in a ``with``.

    Args:
        model: An open_clip model in eval mode.
        recipe: Made for this very model.
        dictionaries: Path of each dictionary, of any format that is known (or the file as read),
            by the name that the recipe uses.

    Raises:
        InvalidRequest: The model is training, or is not the recipe's.
        NotFound: A dictionary file is not named or not there.
        DictionaryMisfit: A file is not the one that the recipe was made with.
    """

    def __init__(self, model: Any, recipe: Recipe, dictionaries: Dictionaries) -> None:
        if model.training:
            raise InvalidRequest("the model is in training mode: call model.eval() first")
        self.model = model
        self.recipe = recipe
        self._tower = read_tower(model.visual)
        files = {pin.id: opened(pin, dictionaries) for pin in recipe.provenance.dictionaries}
        self._books = {name: file.sae for name, file in files.items()}
        self._editor = editor(self._tower, recipe, files)
        recognise(self._tower, recipe)

    def __enter__(self) -> Any:
        if "forward" in vars(self.model.visual):
            raise InvalidRequest("this model is steered already: leave the first 'with' before")
        self.model.visual.forward = self._forward
        return self.model

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del self.model.visual.forward

    def _forward(self, pixels: Tensor) -> Tensor:
        """Pixels ``[b, 3, h, w]`` to embeddings ``[b, e]``, not normalised."""
        return self._tower.run(self._tower.start(pixels), 0, self._visit)

    def _visit(self, site: str, x: Tensor) -> Tensor:
        # Edits are computed as the Runner computes them, in float32 beside the dictionaries.
        if not any(edit.site == site for edit in self.recipe.steer.edits):
            return x
        plain = x.detach().to("cpu", torch.float32)
        known = self._known(site, plain)
        change = self._editor.change(site, plain, [self.recipe.steer] * len(x), known)
        return x if change is None else x + change.to(x)

    def _known(self, site: str, x: Tensor) -> Known:
        """Codes of top-k dictionaries at ``site``: each picture is encoded once, not per edit."""
        kept = {
            pin.id: self._books[pin.id].kept(x)
            for pin in self.recipe.provenance.dictionaries
            if pin.site == site and not self._books[pin.id].pointwise
        }

        def activation(row: int, feature: Feature) -> Tensor | None:
            if feature.dictionary not in kept:
                return None
            values, which = kept[feature.dictionary]
            return (values[row] * (which[row] == feature.index)).sum(-1)

        return activation


def apply(model: Any, recipe: Recipe | str | Path, dictionaries: Dictionaries = {}) -> Applied:  # noqa: B006
    """Steer ``model`` by a recipe, or by the file of one, inside a ``with``.

    The answer equals that of a Runner for the same model within 1e-5. What is changed is held
    constant for gradients. Raises what ``Applied`` raises.
    """
    if not isinstance(recipe, Recipe):
        from steerboard.recipe.files import load

        recipe = load(Path(recipe))
    return Applied(model, recipe, dictionaries)


def opened(pin: DictionaryPin, paths: Dictionaries) -> DictionaryFile:
    """One dictionary, the very one; what its file does not say of its place the recipe does."""
    name = pin.id
    if name not in paths:
        raise NotFound(
            f"the recipe edits features of dictionary {name}: name its file, as"
            f" dictionaries={{{name!r}: 'path/to/{name}.safetensors'}}",
            field="dictionaries",
        )
    given = paths[name]
    if not isinstance(given, DictionaryFile):
        given = read(Path(given), Hints(pin.site, pin.tokens))
    if given.fingerprint != pin.fingerprint:
        raise DictionaryMisfit(
            f"what is named as {name} is not the dictionary {name} of the recipe: its fingerprint"
            f" is {given.fingerprint[:12]}, the recipe wants {pin.fingerprint[:12]}"
        )
    return given


def editor(tower: Tower, recipe: Recipe, files: Mapping[str, DictionaryFile]) -> Editor:
    """The edit algebra at this tower; refuses a steer set that does not fit it."""
    pins = recipe.provenance
    check_steer_set(shape_of(tower, pins, files), recipe.steer, "steer")
    books = {name: file.sae for name, file in files.items()}
    return Editor(Layout(tower.prefix, tower.grid), books, pins.n_bar, tower.heads)


@torch.inference_mode()
def recognise(tower: Tower, recipe: Recipe) -> None:
    """The model answers the recipe's witness as the model did that it was made on."""
    seen = recipe.provenance.witness
    if seen is None:
        return
    if tuple(tower.image_size) != tuple(seen.size):
        raise InvalidRequest(
            f"recipe {recipe.title} is for pictures of {seen.size} pixels, this model reads"
            f" {tuple(tower.image_size)}: it is another model"
        )
    like = next(tower.visual.parameters())
    pixels = torch.from_numpy(noise(seen.seed, seen.size).numpy().copy()).to(like)
    found = functional.normalize(tower.run(tower.start(pixels[None]), 0)[0].float(), dim=0)
    wanted = np.asarray(seen.embedding.numpy(), np.float32)
    same = found.shape == wanted.shape and 1 - float(found.cpu().numpy() @ wanted) < ALIKE
    if not same:
        raise InvalidRequest(
            f"this model is not the one that recipe {recipe.title} was made on"
            f" ({recipe.provenance.model}, {recipe.provenance.model_fingerprint[:12]}): it answers"
            " the recipe's witness picture otherwise"
        )
