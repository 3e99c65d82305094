"""Options that several commands have, each said once."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from steerboard.cli.questions import DIRECTIONS, TARGETS

Model = Annotated[str, Option(help="as steerboard.yaml calls it; default: its first")]
Target = Annotated[str, Option(help=TARGETS)]
Method = Annotated[str, Option(help="see steerboard methods")]
Dictionary = Annotated[str, Option(help="default: the model's first")]
Site = Annotated[str, Option(help="for neurons, heads and directions")]
Units = Annotated[str, Option(help="feature, neuron, head or direction")]
Directions = Annotated[Path | None, Option(help=DIRECTIONS)]
Tokens = Annotated[str, Option(help="all, prefix, or cells as row,column;...")]
Steps = Annotated[int, Option(min=1, max=256, help="of the path of integrated_gradients")]
Pictures = Annotated[str, Argument(help="a picture, a folder, a manifest, a set of config")]
Where = Annotated[str, Option(help="only pictures that fit, as label == 'owl'")]
Split = Annotated[str, Option(help="only this split")]
Config = Annotated[Path, Option(help="steerboard.yaml, or the folder that holds it")]
Connect = Annotated[str, Option(help="host:port of a server instead of config")]
Token = Annotated[str, Option(envvar="STEERBOARD_TOKEN", help="signed token")]
Json = Annotated[bool, Option("--json", help="one JSON object")]
