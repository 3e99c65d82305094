# The page. No torch. Build from the repository's root:
#   docker build -f deploy/ui.Dockerfile -t steerboard-ui .
FROM python:3.11-slim-bookworm
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1 PYTHONPATH=/app
RUN useradd --create-home --uid 10001 steerboard && install -d -o steerboard -g steerboard /data
WORKDIR /app
# First what is needed, and the command; the sources come last: changing them installs nothing anew.
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
RUN pip install -c constraints.txt '.[ui]'
COPY steerboard steerboard
COPY services services
COPY deploy/health.py ./
RUN python -m compileall -q .
USER steerboard
ENV STREAMLIT_SERVER_PORT=8501 STREAMLIT_SERVER_ADDRESS=0.0.0.0 STREAMLIT_SERVER_HEADLESS=true \
    STREAMLIT_SERVER_FILE_WATCHER_TYPE=none STREAMLIT_BROWSER_GATHER_USAGE_STATS=false
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=15s --start-period=60s CMD ["python", "health.py", "ui"]
CMD ["python", "-m", "services.ui"]
