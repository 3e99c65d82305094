"""Every architecture that open_clip knows, with random weights, through our pass.

``python -m bench.towers [--limit MILLIONS] [NAME ...]`` builds each image tower, and compares
the explicit pass with open_clip's own, whole and from each block; what cannot be read is listed
with its sentence. Meant to be run by hand: an hour on two cores.
"""

import argparse
import gc
import json
import logging
import time
import warnings
from typing import Any

import torch

from steerboard.model import torchvision_ops  # noqa: F401  (before open_clip)

import open_clip  # isort: skip
from open_clip.model import CLIPVisionCfg, _build_vision_tower

from steerboard.model.tower import Tower
from steerboard.model.towers import read_tower
from steerboard.spec.errors import InvalidRequest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--limit", type=float, default=700, help="millions of parameters")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    seen: dict[str, str] = {}
    for name in arguments.names or open_clip.list_models():
        config = open_clip.get_model_config(name)
        key = json.dumps([config["embed_dim"], config["vision_cfg"], config.get("quick_gelu")])
        if key in seen:
            print(f"{name:32} as {seen[key]}", flush=True)
            continue
        seen[key] = name
        print(f"{name:32} {row(config, arguments.limit)}", flush=True)
        gc.collect()


def row(config: dict[str, Any], limit: float) -> str:
    """One line about an architecture."""
    began = time.perf_counter()
    with torch.device("meta"):
        count = sum(p.numel() for p in visual_of(config).parameters()) / 1e6
    if count > limit:
        return f"{count:7.0f} M  not built: more than {limit:.0f} M"
    visual = visual_of(config).eval().requires_grad_(False)
    awake(visual)
    try:
        tower = read_tower(visual)
        whole, suffix = compare(tower)
    except InvalidRequest as error:
        return f"{count:7.0f} M  refused: {error.message}"
    kinds = sorted({site.name.partition(".")[0] for site in tower.sites})
    return (
        f"{count:7.0f} M  {tower.family:9} {len(tower.blocks):3} blocks  pools {tower.pools:8}"
        f" whole {whole:.1e}  suffixes {suffix:.1e}  {','.join(kinds)}"
        f"  {time.perf_counter() - began:.0f} s"
    )


def visual_of(config: dict[str, Any]) -> Any:
    """The image tower alone."""
    return _build_vision_tower(
        config["embed_dim"], CLIPVisionCfg(**config["vision_cfg"]), config.get("quick_gelu", False)
    )


def awake(visual: torch.nn.Module) -> None:
    """Give parameters that start at zero a value, or whole parts would not be tested."""
    torch.manual_seed(0)
    for parameter in visual.parameters():
        if parameter.dim() < 2 or (parameter == parameter.flatten()[0]).all():
            parameter.data += 0.05 * torch.randn_like(parameter)


@torch.inference_mode()
def compare(tower: Tower) -> tuple[float, float]:
    """Largest differences of unit embeddings: whole pass, and suffixes from every block."""
    pixels = torch.randn(1, 3, *tower.image_size)
    theirs = unit(tower.visual(pixels))
    kept: dict[int, torch.Tensor] = {}

    def keep(site: str, x: torch.Tensor) -> torch.Tensor:
        if site.startswith("resid_post"):
            kept[int(site.partition(".")[2])] = x
        return x

    ours = unit(tower.run(tower.start(pixels), 0, keep))
    some = {0, len(kept) // 2, len(kept) - 1}
    ends = [unit(tower.run(kept[i], i + 1)) for i in sorted(some)]
    return float((ours - theirs).abs().max()), max(float((e - ours).abs().max()) for e in ends)


def unit(embedding: Any) -> torch.Tensor:
    """Unit length; a tower that also gives its tokens gives the embedding first."""
    first = embedding[0] if isinstance(embedding, tuple) else embedding
    return torch.nn.functional.normalize(first, dim=-1)


if __name__ == "__main__":
    main()
