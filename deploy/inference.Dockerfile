# The inference service. Build from the repository's root:
#   docker build -f deploy/inference.Dockerfile -t steerboard-inference .
FROM python:3.11-slim-bookworm
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1 PYTHONPATH=/app
RUN useradd --create-home --uid 10001 steerboard && install -d -o steerboard -g steerboard /data
WORKDIR /app
# First what is needed, and the command; the sources come last: changing them installs nothing anew.
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
# An index of torch builds, for the CPU or for one version of CUDA; empty: pip's own index, whose
# build serves from either and is large. Both come from one index, so that their operators match.
ARG TORCH_INDEX=
RUN pip install --no-deps ${TORCH_INDEX:+--index-url $TORCH_INDEX} -c constraints.txt torch torchvision
RUN pip install -c constraints.txt '.[inference]'
COPY steerboard steerboard
COPY services services
COPY deploy/health.py ./
RUN python -m compileall -q .
USER steerboard
EXPOSE 50051
HEALTHCHECK --interval=10s --timeout=15s --start-period=600s CMD ["python", "health.py", "inference"]
CMD ["python", "-m", "services.inference"]
