# The attribution service. Build from the repository's root: docker build -f deploy/attribution.Dockerfile .
FROM python:3.11-slim-bookworm
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY steerboard steerboard
COPY services services
RUN pip install --no-cache-dir -c constraints.txt '.[attribution]' \
    && useradd --create-home --uid 10001 steerboard \
    && install -d -o steerboard /data
USER steerboard
EXPOSE 50052
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s CMD ["python", "-c", "import grpc; from grpc_health.v1 import health_pb2 as p, health_pb2_grpc as g; assert g.HealthStub(grpc.insecure_channel('127.0.0.1:50052')).Check(p.HealthCheckRequest(), timeout=3).status == 1"]
CMD ["python", "-m", "services.attribution", "door"]
