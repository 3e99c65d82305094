"""Generate the stubs of ``protos/`` into ``steerboard/v1``; ``--check`` only compares.

Run with grpcio-tools 1.74 as ``python -m steerboard.api.generate``: generated code asks for a
runtime at least as new as its generator, so an old one keeps the door open for older environments.
"""

import sys
import tempfile
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROTOS = ROOT / "protos"
PACKAGE = Path("steerboard/v1")
INIT = '"""The wire contract, generated from protos/ by steerboard.api.generate."""\n'


def generate(out: Path) -> None:
    """Write all stubs below ``out``."""
    from google.rpc import status_pb2
    from grpc_tools import protoc  # type: ignore[import-untyped]

    sources = sorted(str(path) for path in (PROTOS / PACKAGE).glob("*.proto"))
    googleapis = Path(str(status_pb2.__file__)).parents[2]
    includes = [f"-I{PROTOS}", f"-I{googleapis}", f"-I{files('grpc_tools') / '_proto'}"]
    outputs = [f"--{kind}_out={out}" for kind in ("python", "grpc_python", "pyi")]
    if protoc.main(["protoc", *includes, *outputs, *sources]) != 0:
        raise SystemExit("protoc failed; its messages stand above")
    (out / PACKAGE / "__init__.py").write_text(INIT)


def stale(out: Path) -> list[str]:
    """Names of committed stubs that differ from those below ``out``."""
    fresh = {path.name: path.read_bytes() for path in (out / PACKAGE).glob("*.py*")}
    held = {path.name: path.read_bytes() for path in (ROOT / PACKAGE).glob("*.py*")}
    return sorted(name for name in fresh.keys() | held.keys() if fresh.get(name) != held.get(name))


def main(arguments: list[str]) -> int:
    """Generate, or compare with ``--check``; the exit status."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m steerboard.api.generate [--check]", file=sys.stderr)
        return 2
    if not arguments:
        (ROOT / PACKAGE).mkdir(exist_ok=True)
        generate(ROOT)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        changed = stale(Path(folder))
    if changed:
        print(f"stubs are not fresh ({', '.join(changed)}): run make protos", file=sys.stderr)
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
