"""Build everything that ``demo/`` ships, from nothing: ``python -m demo.emojiland.build``.

About 80 minutes on two CPU cores. Needs Debian's ``fonts-noto-color-emoji`` and a Pillow with raqm.
``--share 0.01`` goes through every stage with a hundredth of the pictures and steps: to see that
the way is open, not to get a model that sees.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from demo.emojiland import manifest
from demo.emojiland.world import CLASSES, TEMPLATE


def run(module: str, *arguments: str) -> None:
    """One stage in a process of its own, so that its memory goes back."""
    subprocess.run([sys.executable, "-m", f"demo.emojiland.{module}", *arguments], check=True)


def write_prompts(path: Path) -> None:
    """The prompts in the order in which the pages offer them."""
    content = {"template": TEMPLATE, "classes": list(CLASSES)}
    path.write_text(json.dumps(content, indent=1) + "\n")


def write_config(path: Path) -> None:
    """The shipped ``steerboard.yaml``; its paths are relative, so it serves any such folder."""
    shipped = Path(__file__).parents[1] / "steerboard.yaml"
    if path.resolve() != shipped.resolve():
        shutil.copyfile(shipped, path)


def main() -> None:
    """Pictures, prompts, model, dictionaries, and the table of what they show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    parser.add_argument("--cache", type=Path, default=Path("build/emojiland"))
    parser.add_argument("--share", type=float, default=1.0, help="of the pictures and steps")
    args = parser.parse_args()
    model, dictionaries = args.out / "model", args.out / "dictionaries"
    print(manifest.write(args.out / "images", args.share), "pictures", flush=True)
    write_prompts(args.out / "classes.json")
    write_config(args.out / "steerboard.yaml")
    amount = ("--cache", str(args.cache), "--share", str(args.share))
    run("train_model", "--out", str(model), *amount)
    run("train_dictionary", "--model", str(model), "--out", str(dictionaries), *amount)
    files = [str(dictionaries / f"{name}.safetensors") for name in ("middle", "last")]
    shown = ("--images", str(args.out / "images"), "--dictionaries", *files)
    run("evaluate", "--model", str(model), *shown)


if __name__ == "__main__":
    main()
