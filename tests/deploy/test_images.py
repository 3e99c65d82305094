"""Each image without Docker: its Dockerfile followed in a clean virtual environment, then started.

Marked ``installs``: three environments are made with pip, which takes minutes. Services run with
the environment that docker-compose.yml gives them, on ports and folders of this machine.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from container_files import ROOT, Dockerfile, dockerfile, filled, image_of

import steerboard as sb
from steerboard.api.jobs_client import JobClient
from steerboard.cli.processes import free_port
from steerboard.cli.redis_servers import find_server
from steerboard.spec.jobs import AttributeJob

pytestmark = [pytest.mark.installs, pytest.mark.timeout(900)]
IMAGES = ("inference", "attribution", "ui")
PARTS = ("inference", "door", "worker", "ui")
PATIENCE_S = 180
NO_COMPILE = {"PIP_NO_COMPILE": "0"}  # pip's way to write --no-compile: with 1 it does compile


@dataclass(frozen=True)
class Image:
    """What an image would hold: ``app``, a folder with the sources, and an environment."""

    file: Dockerfile
    folder: Path

    @property
    def app(self) -> Path:
        return self.folder / "app"

    @property
    def environment(self) -> dict[str, str]:
        """As in the image, and nothing of ours; pip's own settings are this machine's.

        What is imported is compiled then, and kept: most of what is installed never is.
        """
        ours = ("STEERBOARD", "STREAM", "PYTHONDONTWRITEBYTECODE")
        held = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        own = {k: v for k, v in self.file.environment.items() if not k.startswith("PIP_")}
        path = f"{self.folder / 'venv' / 'bin'}{os.pathsep}{held['PATH']}"
        return held | own | {"PATH": path, "PYTHONPATH": str(self.app)} | NO_COMPILE

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.app,
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=800,
        )

    def python(self, program: str, **more: str) -> str:
        done = self.run("python", "-c", program, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def build(name: str, folder: Path) -> Image:
    """Follow a Dockerfile: copy what it copies, install what it installs, in its order."""
    image = Image(dockerfile(name), folder)
    image.app.mkdir(parents=True)
    bare(folder / "venv")
    for step, rest in image.file.steps:
        if step == "COPY":
            *sources, target = rest.split()
            subprocess.run(["cp", "-r", *sources, image.app / target], cwd=ROOT, check=True)
        if step == "RUN" and rest.startswith("pip install"):
            done = image.run("sh", "-c", rest)
            assert done.returncode == 0, done.stderr
    return image


def bare(folder: Path) -> None:
    """An empty environment whose ``pip`` is this one's, which need not be unpacked again."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = folder / "bin" / "pip"
    pip.write_text(f'#!/bin/sh\nexec {sys.executable} -m pip --python {folder} "$@"\n')
    pip.chmod(0o755)


@pytest.fixture(scope="module")
def images() -> Iterator[dict[str, Image]]:
    """All images; the gigabytes are given back at the end."""
    with tempfile.TemporaryDirectory() as folder:
        yield {name: build(name, Path(folder) / name) for name in IMAGES}


@dataclass
class Town:
    """All parts of the compose file as processes, each from its own image's environment."""

    images: dict[str, Image]
    services: dict[str, dict]
    folder: Path
    house: Path
    ports: dict[str, int] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def secrets(self) -> dict[str, str]:
        """What deploy/setup writes, by the ``steerboard`` command of an image."""
        file = self.folder / "env"
        if not file.exists():
            done = self.images["attribution"].run(str(ROOT / "deploy" / "setup"), str(file))
            assert done.returncode == 0, done.stderr
        return dict(line.split("=", 1) for line in file.read_text().splitlines())

    def port(self, name: str) -> int:
        return self.ports.setdefault(name, free_port())

    def here(self, name: str, value: str) -> str:
        """A value of the compose file with this machine's ports and folders in it."""
        value = filled(value, self.secrets())
        own = {"0.0.0.0:50051": "inference:50051", "0.0.0.0:50052": "door:50052"}
        value = own.get(value, value)
        for part, number in {
            "queue": 6379,
            "cache": 6379,
            "inference": 50051,
            "door": 50052,
        }.items():
            value = value.replace(f"{part}:{number}", f"127.0.0.1:{self.port(part)}")
        value = value.replace("/data", str(self.folder / name))
        return value.replace("/models/steerboard.yaml", str(self.house / "steerboard.yaml"))

    def environment(self, name: str) -> dict[str, str]:
        given = self.services[name]["environment"]
        blobs = "door" if name == "worker" else name  # they share one volume
        own = {k: self.here(blobs, v) for k, v in given.items()}
        if name == "ui":
            own |= {
                "STREAMLIT_SERVER_PORT": str(self.port("ui")),
                "STREAMLIT_SERVER_ADDRESS": "127.0.0.1",
            }
        return own | {"OMP_NUM_THREADS": "1"}

    def start_redis(self, name: str) -> None:
        """The very command of the compose file, with the server that is at hand."""
        command = [filled(word, {}) for word in self.services[name]["command"]]
        server = f"{find_server()} --bind 127.0.0.1 --port {self.port(name)}"
        command[-1] = command[-1].replace("valkey-server", server)
        self.launch(name, command, self.folder, dict(os.environ) | self.environment(name))

    def start(self, name: str) -> None:
        image = self.images[image_of(self.services[name])]
        command = self.services[name].get("command") or image.file.command
        self.launch(name, command, image.app, image.environment | self.environment(name))

    def launch(self, name: str, command: list[str], cwd: Path, environment: dict[str, str]) -> None:
        (self.folder / name).mkdir(exist_ok=True)
        with open(self.folder / f"{name}.log", "wb") as log:
            self.running[name] = subprocess.Popen(
                command, cwd=cwd, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def health(self, name: str) -> subprocess.CompletedProcess[str]:
        """What the image's own health check says."""
        service = self.services[name]
        image = self.images[image_of(service)]
        words = service.get("healthcheck", {}).get("test", ["CMD", *image.file.health])
        return image.run(*words[1:], **self.environment(name))

    def wait(self, name: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while (answer := self.health(name)).returncode != 0:
            log = (self.folder / f"{name}.log").read_text()
            assert self.running[name].poll() is None, log
            assert time.monotonic() < end, answer.stderr + log
            time.sleep(1)  # each look is a process of its own

    def stop(self) -> None:
        for process in reversed(self.running.values()):
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def town(images, compose, tiny_house, tmp_path_factory) -> Iterator[Town]:
    """Nothing runs yet but the two Redis servers."""
    found = Town(images, compose["services"], tmp_path_factory.mktemp("town"), tiny_house)
    with ExitStack() as stack:
        stack.callback(found.stop)
        for name in ("queue", "cache"):
            found.start_redis(name)
        yield found


PROBE = "import importlib.util as u; print(*(n for n in {} if u.find_spec(n)))"


@pytest.mark.parametrize("name", ["attribution", "ui"])
def test_worker_and_page_have_no_torch(images, name):
    assert (
        images[name].python(PROBE.format(["torch", "open_clip", "torchvision", "grpc"])) == "grpc"
    )
    held = images[name].run("pip", "list", "--format=freeze").stdout.lower()
    assert "steerboard==" in held
    assert not any(line.startswith(("torch", "nvidia", "timm")) for line in held.splitlines())


def test_inference_has_torch(images):
    probe = PROBE.format(["torch", "open_clip", "celery", "streamlit"])
    assert images["inference"].python(probe) == "torch open_clip"


@pytest.mark.parametrize("name", IMAGES)
def test_what_is_installed_fits_together(images, name):
    done = images[name].run("pip", "check")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_healthy_once_it_runs_and_not_before(town, name):
    before = town.health(name)
    assert before.returncode == 1 and "Traceback" not in before.stderr
    town.start(name)
    town.wait(name)


def test_the_whole_answers(town, tiny_images):
    """After the parts are up: a prediction, and a job that a worker computed."""
    assert set(PARTS) <= set(town.running), "the tests above start the parts"
    token = town.secrets()["STEERBOARD_UI_TOKEN"]
    runner = sb.connect(f"127.0.0.1:{town.port('inference')}", token)
    picture = sb.Encoded(data=tiny_images[0])
    prompts = sb.Prompts(prompts=("cat", "dog"))
    ask = sb.Predict(model="tiny", images=(picture,), classifier=prompts)
    assert runner.predict(ask).one().logits.shape == (2,)
    jobs = JobClient(f"127.0.0.1:{town.port('door')}", token)
    job = AttributeJob(
        model="tiny",
        image=sb.Digest(sha256=picture.sha256),
        classifier=prompts,
        dictionary="middle",
    )
    opened = jobs.submit(job, [picture.data])
    *_, last = jobs.watch(opened.id)
    assert last.state == "done", last.message
    runner.close()
    jobs.close()


def test_the_page_runs_in_its_image(town):
    """The server is healthy before anybody has opened the page: here its script is run."""
    program = (
        "from streamlit.testing.v1 import AppTest\n"
        "page = AppTest.from_file('services/ui/app.py').run(timeout=120)\n"
        "assert not page.exception and not page.error, (page.exception, page.error)\n"
        "print(len(page.button))"
    )
    assert set(PARTS) <= set(town.running), "the tests above start the parts"
    assert int(town.images["ui"].python(program, **town.environment("ui"))) > 0


@pytest.mark.parametrize("name", PARTS)
def test_a_part_stops_when_told(town, name):
    process = town.running[name]
    process.terminate()
    assert process.wait(20) == 0, (town.folder / f"{name}.log").read_text()
