"""PatchSAE, ConceptScope and HugoFry's training of SAEs on vision transformers.

    z = relu((x - b_dec) W_enc + b_enc);  x_hat = z W_dec + b_dec

without any normalisation, on the output of a block. The settings are a dict, or a pickled class
that arrives here as an inert record.
"""

from steerboard.dictionary.formats.hooks import block_site, counted_from_end
from steerboard.dictionary.formats.opened import Found, Opened
from steerboard.dictionary.sae import Sae


def load(opened: Opened) -> Found:
    """A dictionary from these settings and tensors."""
    config = opened.config
    if opened.has("r_mag") or opened.has("b_mag") or config.get("gated_sae"):
        raise opened.misfit("a gated PatchSAE has no forward pass to follow, so it cannot be used")
    if config["module_name"] != "resid":
        raise opened.misfit(
            f"module {config['module_name']!r} is no site that can be read and steered here"
            " (only resid, the output of a block)"
        )
    sae = Sae(
        W_enc=opened.take("W_enc", "df"),
        b_enc=opened.take("b_enc", "f"),
        W_dec=opened.take("W_dec", "fd"),
        b_dec=opened.take("b_dec", "d"),
    )
    opened.finish()
    opened.expect("d_in", int(config.get("d_in") or 0), "d")
    opened.expect(
        "d_in * expansion_factor",
        int(config.get("d_in") or 0) * int(config.get("expansion_factor") or 0),
        "f",
    )
    block = int(config["block_layer"])
    return Found(
        sae,
        source="PatchSAE",
        site=block_site(block),
        usual_tokens="all",
        unplaced=counted_from_end(block),
        facts={
            "model": str(config.get("model_name") or ""),
            "block": block,
            "class_token": bool(config.get("class_token")),
        },
    )
