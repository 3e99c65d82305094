"""Names that other programs give to places in a model, as our sites."""

import re

from steerboard.spec.errors import DictionaryMisfit

# TransformerLens' names inside a block, which SAELens and Prisma use.
KINDS = {
    "hook_resid_post": "resid_post",
    "hook_resid_pre": "resid_pre",
    "mlp.hook_post": "mlp_post",
    "attn.hook_z": "head_out",
}
LENS = re.compile(r"blocks\.(-?\d+)\.(.+)")
# A block's module by its path, as hooks on Hugging Face, open_clip and timm models name it.
BLOCK = re.compile(r"(?:^|\.)(?:layers?|resblocks|blocks|h)\.(-?\d+)$")


def site_of(name: str, hook: str) -> str:
    """The site of a hook, or nothing where the name does not tell.

    Args:
        name: Of the file, for the message.
        hook: Such as ``blocks.9.hook_resid_post``.

    Raises:
        DictionaryMisfit: A place that is known and is not a site.
    """
    lens = LENS.fullmatch(hook)
    if lens and lens[2] not in KINDS:
        raise DictionaryMisfit(
            f"{name}: it was trained on {hook}, which is no site that can be read and steered"
            f" here (those are {', '.join(KINDS)})"
        )
    if lens:
        return block_site(int(lens[1]), KINDS[lens[2]])
    block = BLOCK.search(hook)
    return block_site(int(block[1])) if block else ""


def block_site(block: int, kind: str = "resid_post") -> str:
    """The site of a block, or nothing where it is counted from the end."""
    return f"{kind}.{block}" if block >= 0 else ""


def counted_from_end(block: int) -> str:
    """Why a negative block is no site yet."""
    return f"it counts blocks from the end ({block}), and does not say of how many"
