# Kinoscope on the processor: the dashboard by default, `python -m pipeline ...` for everything else.
#   docker build --tag kinoscope .
#   docker run --rm --publish 127.0.0.1:8501:8501 --volume kinoscope-runs:/runs kinoscope
# Inside the container it listens on all addresses, or nothing could be published; publish to 127.0.0.1 (see compose.yaml).
FROM python:3.11-slim-bookworm

# OpenCV's wheel links two libraries (scripts/check-libraries); the font prints Chinese, Japanese and Korean in PDF reports;
# Debian serves no older versions that could be pinned:
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 fonts-noto-cjk \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 10001 kinoscope \
    && mkdir /runs /models /clips \
    && chown kinoscope:kinoscope /runs /models

WORKDIR /app
COPY requirements.txt requirements-nodeps.txt ./
# PyTorch's own index has builds without CUDA, 6 GB smaller; what is in place then satisfies requirements.txt
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" "torch>=2.14" "torchvision>=0.29" \
    && pip install --no-cache-dir --requirement requirements.txt \
    && pip install --no-cache-dir --no-deps --requirement requirements-nodeps.txt

COPY LICENSE README.md ./
COPY pipeline pipeline
COPY checkpoints checkpoints
COPY UserInterface UserInterface

ENV KINOSCOPE_OUTPUTS=/runs \
    KINOSCOPE_MODELS=/models \
    KINOSCOPE_CACHE=/tmp/kinoscope \
    KINOSCOPE_CLIPS=/clips \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

USER 10001
VOLUME ["/runs", "/models"]
EXPOSE 8501 8600

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]

CMD ["python", "-m", "streamlit", "run", "UserInterface/Home.py", "--server.address", "0.0.0.0", "--server.port", "8501", "--server.headless", "true", "--browser.gatherUsageStats", "false"]
