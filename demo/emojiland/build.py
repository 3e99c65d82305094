"""Build everything that ``demo/`` ships, from nothing: ``python -m demo.emojiland.build``.

About 40 minutes on two CPU cores. Needs Debian's ``fonts-noto-color-emoji`` and a Pillow with raqm.
"""

import argparse
import json
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


def main() -> None:
    """Pictures, prompts, model, dictionaries, and the table of what they show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    parser.add_argument("--cache", type=Path, default=Path("build/emojiland"))
    args = parser.parse_args()
    model, dictionaries = args.out / "model", args.out / "dictionaries"
    print(manifest.write(args.out / "images"), "pictures", flush=True)
    write_prompts(args.out / "classes.json")
    run("train_model", "--out", str(model), "--cache", str(args.cache))
    places = ("--model", str(model), "--cache", str(args.cache))
    run("train_dictionary", *places, "--out", str(dictionaries))
    files = [str(dictionaries / f"{name}.safetensors") for name in ("middle", "last")]
    shown = ("--images", str(args.out / "images"), "--dictionaries", *files)
    run("evaluate", "--model", str(model), *shown)


if __name__ == "__main__":
    main()
