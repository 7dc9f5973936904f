# One image for Gatecast, its dashboard and its workers; compose.yaml runs them.
FROM python:3.12-slim-bookworm

# The kernels are compiled at run time and kept in /data, so that a new container finds them again.
ENV GATECAST_HOME=/data \
    PREFECT_HOME=/data/prefect \
    XDG_CACHE_HOME=/data/cache \
    DO_NOT_TRACK=1 \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1

WORKDIR /opt/gatecast
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY gatecast gatecast
COPY kernels kernels
COPY lstm lstm
COPY data data
COPY flows flows
RUN pip install --constraint constraints.txt . && \
    useradd --create-home --uid 1000 gatecast && \
    install --directory --owner=gatecast /data

USER 1000
WORKDIR /data
VOLUME /data
EXPOSE 4200
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s \
    CMD ["python", "-c", "import httpx; httpx.get('http://127.0.0.1:4200/api/health').raise_for_status()"]
STOPSIGNAL SIGINT
# Starts only with a password, in PREFECT_SERVER_API_AUTH_STRING and PREFECT_API_AUTH_STRING; see docs/deploying.md.
ENTRYPOINT ["gatecast"]
CMD ["serve", "--host", "0.0.0.0"]
