# The inference service. Build from the repository's root: docker build -f deploy/inference.Dockerfile .
FROM python:3.11-slim-bookworm
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY steerboard steerboard
COPY services services
# torch and torchvision from one index, so that their operators match; empty: pip's own.
ARG TORCH_INDEX=
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url $TORCH_INDEX} torch==2.13.0 torchvision==0.28.0
RUN pip install --no-cache-dir -c constraints.txt '.[inference]' \
    && useradd --create-home --uid 10001 steerboard \
    && install -d -o steerboard /data
USER steerboard
EXPOSE 50051
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s CMD ["python", "-c", "import grpc; from grpc_health.v1 import health_pb2 as p, health_pb2_grpc as g; assert g.HealthStub(grpc.insecure_channel('127.0.0.1:50051')).Check(p.HealthCheckRequest(), timeout=3).status == 1"]
CMD ["python", "-m", "services.inference"]
