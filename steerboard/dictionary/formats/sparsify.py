"""EleutherAI's sparsify: ``cfg.json`` beside ``sae.safetensors``, in a folder named by the hook.

    z = the k largest of relu((x - b_dec) W^T + b);  x_hat = z W_dec + b_dec

or, with activation groupmax, the largest of each of k equal groups.
"""

from steerboard.dictionary.formats.hooks import BLOCK, counted_from_end, site_of
from steerboard.dictionary.formats.opened import Found, Opened
from steerboard.dictionary.sae import Architecture, Sae

KINDS: dict[str, Architecture] = {"topk": "topk", "groupmax": "groupmax"}


def load(opened: Opened) -> Found:
    """A dictionary from sparsify's settings and tensors."""
    config = opened.config
    if config.get("transcode") or config.get("skip_connection") or opened.has("W_skip"):
        raise opened.misfit("a transcoder is no dictionary of one site, so it cannot be used")
    activation = str(config.get("activation") or "topk")
    if activation not in KINDS:
        raise opened.misfit(f"activation {activation!r} is not supported ({', '.join(KINDS)})")
    sae = Sae(
        W_enc=opened.take("encoder.weight", "fd").T.contiguous(),
        b_enc=opened.take("encoder.bias", "f"),
        W_dec=opened.take("W_dec", "fd"),
        b_dec=opened.take("b_dec", "d"),
        architecture=KINDS[activation],
        k=opened.positive("k", config),
    )
    opened.finish()
    opened.expect("d_in", int(config.get("d_in") or 0), "d")
    block = BLOCK.search(opened.folder)
    return Found(
        sae,
        source="sparsify",
        site=site_of(opened.name, opened.folder),
        unplaced=counted_from_end(int(block[1])) if block else "its folder is named by no block",
        facts={"hook": opened.folder},
    )
