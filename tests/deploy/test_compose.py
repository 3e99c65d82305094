"""The container files agree with the code and with each other; nothing is started here."""

import re
import shutil
import subprocess
import tomllib
from pathlib import PurePosixPath

import pytest
from container_files import ROOT, dockerfile, filled, image_of

from services.attribution import settings as attribution
from services.inference import settings as inference
from services.ui import settings as ui

IMAGES = ("inference", "attribution", "ui")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
READ = {  # by image: the variables that its code reads
    "inference": {*inference.TABLE, "STEERBOARD_MEASURED"},
    "attribution": set(attribution.TABLE),
    "ui": set(ui.TABLE),
}
SERVICES = ("queue", "cache", "inference", "inference-gpu", "door", "worker", "ui")


def port(address: object) -> str:
    return str(address).rpartition(":")[2]


def extras(name: str) -> list[str]:
    """The extras that the image's install lines name."""
    found = [re.search(r"'\.\[([\w,]+)\]'", line) for line in dockerfile(name).installs]
    return [extra for match in found if match for extra in match[1].split(",")]


def test_the_parts_are_those_of_the_house(compose):
    assert set(compose["services"]) == set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_health_check_that_needs_nothing_more(compose, name):
    service = compose["services"][name]
    own = service.get("healthcheck", {}).get("test") or dockerfile(image_of(service)).health
    text = " ".join(own)
    assert "health.py" in text or "valkey-cli ping" in text
    assert "curl" not in text and "torch" not in text


@pytest.mark.parametrize("name", IMAGES)
def test_install_lines_name_extras_that_exist(name):
    assert extras(name) == [name]
    assert set(extras(name)) <= set(PROJECT["optional-dependencies"])
    assert all("-c constraints.txt" in line for line in dockerfile(name).installs)


@pytest.mark.parametrize("name", ["attribution", "ui"])
def test_worker_and_page_ask_for_no_torch(name):
    wanted = [*PROJECT["dependencies"]]
    wanted += [one for extra in extras(name) for one in PROJECT["optional-dependencies"][extra]]
    names = {re.match(r"[\w-]+", one)[0].lower().replace("_", "-") for one in wanted}
    assert "grpcio" in names
    assert not names & {"torch", "torchvision", "open-clip-torch", "timm", "safetensors"}
    assert "torch" not in " ".join(dockerfile(name).installs)


@pytest.mark.parametrize("name", IMAGES)
def test_what_is_copied_exists_and_is_let_through(name):
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    passed = [PurePosixPath(line[1:]) for line in lines if line.startswith("!")]
    for sources, _ in dockerfile(name).copies:
        for source in sources:
            assert (ROOT / source).exists()
            path = PurePosixPath(source)
            assert path in passed or set(path.parents) & set(passed)


def test_ports_agree_with_the_code(compose):
    services = compose["services"]
    defaults = {
        name: module.Settings.model_fields
        for name, module in (("inference", inference), ("attribution", attribution), ("ui", ui))
    }
    wanted = {
        "inference": port(defaults["inference"]["listen"].default),
        "inference-gpu": port(defaults["inference"]["listen"].default),
        "door": port(defaults["attribution"]["listen"].default),
        "ui": dockerfile("ui").environment["STREAMLIT_SERVER_PORT"],
    }
    for name, number in wanted.items():
        (published,) = services[name]["ports"]
        assert published.endswith(f":{number}:{number}")
        assert filled(published, {}).startswith("127.0.0.1:")
        assert dockerfile(image_of(services[name])).all("EXPOSE") == [number]
    assert (
        port(services["inference"]["environment"]["STEERBOARD_INFERENCE_LISTEN"])
        == wanted["inference"]
    )
    assert port(services["door"]["environment"]["STEERBOARD_JOBS_LISTEN"]) == wanted["door"]
    for name in ("worker", "ui"):
        assert port(services[name]["environment"]["STEERBOARD_INFERENCE"]) == wanted["inference"]
    assert services["ui"]["environment"]["STEERBOARD_JOBS"] == f"door:{wanted['door']}"


@pytest.mark.parametrize("name", SERVICES[2:])
def test_every_variable_that_is_set_is_read(compose, name):
    service = compose["services"][name]
    assert set(service["environment"]) <= READ[image_of(service)]


def test_inference_runs_on_the_cpu_or_by_a_profile_on_a_gpu(compose):
    cpu, gpu = (dict(compose["services"][n]) for n in ("inference", "inference-gpu"))
    assert (cpu["profiles"], gpu["profiles"]) == (["cpu"], ["gpu"])
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia" and device["capabilities"] == ["gpu"]
    assert "deploy" not in cpu
    for same in ("volumes", "ports", "networks"):
        assert cpu[same] == gpu[same]
    ((name, device),) = gpu["environment"].items() - cpu["environment"].items()
    # Where torch sees no GPU the service ends, and does not compute on the CPU unnoticed.
    assert name == "STEERBOARD_DEVICE" and filled(device, {}) == "cuda"
    assert cpu["environment"] == gpu["environment"] | {name: "cpu"}
    for service, variable in ((cpu, "TORCH_INDEX"), (gpu, "TORCH_INDEX_GPU")):
        assert filled(service["build"]["args"]["TORCH_INDEX"], {variable: "here"}) == "here"
    assert cpu["networks"]["default"]["aliases"] == ["inference"]


def test_every_setting_of_inference_can_be_chosen_and_is_explained(compose):
    environment = compose["services"]["inference-gpu"]["environment"]
    assert set(inference.TABLE) <= set(environment)
    told = (ROOT / "deploy" / "README.md").read_text()
    for name, value in environment.items():
        if f"${{{name}:-" in value:
            assert f"`{name}`" in told, name
            assert filled(value, {name: "chosen"}) == "chosen"


def test_a_restart_of_the_machine_loses_nothing(compose):
    services = compose["services"]
    assert all(s["restart"] == "unless-stopped" for s in services.values())
    kept = {n: [v.partition(":")[0] for v in s["volumes"]] for n, s in services.items()}
    assert "queue" in kept["queue"] and "sessions" in kept["ui"]
    assert "blobs" in kept["door"] and "blobs" in kept["worker"]
    named = {v for volumes in kept.values() for v in volumes if not v.startswith("$")}
    assert named == set(compose["volumes"])
    queue, cache = (" ".join(services[n]["command"]) for n in ("queue", "cache"))
    assert "--appendonly yes" in queue and "--maxmemory-policy noeviction" in queue
    assert "--maxmemory-policy allkeys-lru" in cache
    store = services["ui"]["environment"]["STEERBOARD_STORE"]
    assert filled(store, {}).startswith("sqlite:////data/")


def test_models_are_mounted_for_reading_only(compose):
    for name in ("inference", "inference-gpu", "door", "worker"):
        (models,) = (v for v in compose["services"][name]["volumes"] if "/models" in v)
        assert models.endswith(":/models:ro")
        assert (ROOT / filled(models, {}).partition(":")[0] / "steerboard.yaml").is_file()


@pytest.mark.parametrize(
    ("service", "variable", "wanted"),
    [
        ("queue", "VALKEYCLI_AUTH", "REDIS_PASSWORD"),
        ("cache", "VALKEYCLI_AUTH", "REDIS_PASSWORD"),
        ("inference", "STEERBOARD_TOKEN_SECRET", "STEERBOARD_TOKEN_SECRET"),
        ("door", "STEERBOARD_TOKEN", "STEERBOARD_JOBS_TOKEN"),
        ("ui", "STEERBOARD_TOKEN", "STEERBOARD_UI_TOKEN"),
    ],
)
def test_nothing_starts_without_its_secret(compose, service, variable, wanted):
    text = compose["services"][service]["environment"][variable]
    assert filled(text, {wanted: "held"}) == "held"
    with pytest.raises(KeyError, match=wanted):
        filled(text, {})


def test_the_page_cannot_sign_tokens(compose):
    """It is what strangers see: it holds a token of its own, never the secret."""
    assert "TOKEN_SECRET" not in str(compose["services"]["ui"])


def test_compose_itself_takes_the_file(tmp_path):
    """Where a compose command is at hand; elsewhere the tests above have read the file."""
    found = [["docker", "compose"], ["docker-compose"]]
    command = next((c for c in found if shutil.which(c[0]) and answers(c)), None)
    if command is None:
        return
    names = (
        "REDIS_PASSWORD",
        "STEERBOARD_TOKEN_SECRET",
        "STEERBOARD_JOBS_TOKEN",
        "STEERBOARD_UI_TOKEN",
    )
    secrets = tmp_path / "env"
    secrets.write_text("".join(f"{name}=held\n" for name in names))
    for profile in ("cpu", "gpu"):
        run = [*command, "--env-file", str(secrets), "--profile", profile, "config"]
        done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    secrets.write_text("")
    run = [*command, "--env-file", str(secrets), "config"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "run deploy/setup first" in done.stderr


def answers(command: list[str]) -> bool:
    run = subprocess.run([*command, "version"], capture_output=True, timeout=60)
    return run.returncode == 0
