# The attribution service: the job door, and with another command a worker. No torch.
#   docker build -f deploy/attribution.Dockerfile -t steerboard-attribution .
FROM python:3.11-slim-bookworm
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1 PYTHONPATH=/app
RUN useradd --create-home --uid 10001 steerboard && install -d -o steerboard -g steerboard /data
WORKDIR /app
# First what is needed, and the command; the sources come last: changing them installs nothing anew.
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
RUN pip install -c constraints.txt '.[attribution]'
COPY steerboard steerboard
COPY services services
COPY deploy/health.py ./
RUN python -m compileall -q .
USER steerboard
EXPOSE 50052
HEALTHCHECK --interval=10s --timeout=15s --start-period=60s CMD ["python", "health.py", "door"]
CMD ["python", "-m", "services.attribution", "door"]
