# The ui service. Build from the repository's root: docker build -f deploy/ui.Dockerfile .
FROM python:3.11-slim-bookworm
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY steerboard steerboard
COPY services services
RUN pip install --no-cache-dir -c constraints.txt '.[ui]' \
    && useradd --create-home --uid 10001 steerboard \
    && install -d -o steerboard /data
USER steerboard
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=3)"]
CMD ["python", "-m", "streamlit", "run", "services/ui/app.py", "--server.port=8501", "--server.address=0.0.0.0", "--server.headless=true", "--browser.gatherUsageStats=false"]
