"""Is the service in this container healthy? ``python health.py inference|door|worker|ui``.

Ends with 0 where it is, with 1 and a sentence where it is not. It reads the variables that the
service reads, so that it asks where the service listens; what is heavy is imported for one part.
"""

import os
import platform
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import cast

TIMEOUT_S = 5.0
Environment = Mapping[str, str]


def serving(listen: str) -> bool:
    """Whether the gRPC server that was told to ``listen`` there says SERVING."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    address = f"127.0.0.1:{listen.rpartition(':')[2]}"
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        request = health_pb2.HealthCheckRequest()
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_S)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def consuming(broker: str) -> bool:
    """Whether a worker of this very host took a pulse from the queue lately: see its supervisor."""
    import redis

    with redis.Redis.from_url(broker, socket_timeout=TIMEOUT_S, decode_responses=True) as queue:
        workers = cast(dict[str, str], queue.hgetall("steerboard:slots"))  # name: "hands:until"
    own = (until for name, until in workers.items() if name.startswith(f"{platform.node()}-"))
    return any(float(text.rpartition(":")[2]) > time.time() for text in own)


def answering(port: str) -> bool:
    """Whether Streamlit says that it is healthy; no proxy stands between."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"http://127.0.0.1:{port}/_stcore/health", timeout=TIMEOUT_S) as answer:
        return bool(answer.status == 200)


CHECKS: dict[str, Callable[[Environment], bool]] = {
    "inference": lambda e: serving(e.get("STEERBOARD_INFERENCE_LISTEN", "127.0.0.1:50051")),
    "door": lambda e: serving(e.get("STEERBOARD_JOBS_LISTEN", "127.0.0.1:50052")),
    "worker": lambda e: consuming(e["STEERBOARD_BROKER"]),
    "ui": lambda e: answering(e.get("STREAMLIT_SERVER_PORT", "8501")),
}


def main() -> None:
    """Check the part that the command line names."""
    part = sys.argv[1] if len(sys.argv) == 2 else ""
    if part not in CHECKS:
        sys.exit(f"usage: python health.py {'|'.join(CHECKS)}")
    try:
        healthy = CHECKS[part](os.environ)
    except Exception as error:
        sys.exit(f"{part} does not answer: {error!r}")
    if not healthy:
        sys.exit(f"{part} is not healthy")


if __name__ == "__main__":
    main()
