# The archiver alone: no compiler, no pip of its own, no user that could write to it. docs/container.md explains it.
FROM python:3.11-slim-bookworm AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_COMPILE=1
WORKDIR /src

# Two environments: /build has pip and the build backend and stays behind, /opt/archiver is what is shipped.
COPY requirements.txt requirements-build.txt ./
RUN python -m venv /build \
    && python -m venv --without-pip /opt/archiver \
    && /build/bin/pip install --require-hashes --only-binary :all: -r requirements-build.txt \
    && /build/bin/pip --python /opt/archiver/bin/python install --require-hashes --only-binary :all: -r requirements.txt

# botocore describes every service of AWS; the archiver talks to S3, and the credential chain to the four others.
# Bytecode is made here, because nothing can be written later; it does not depend on the files' times.
COPY pyproject.toml README.md ./
COPY migrations migrations
COPY archiver archiver
RUN /build/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /dist . \
    && /build/bin/pip --python /opt/archiver/bin/python install --no-deps --no-index /dist/*.whl \
    && find /opt/archiver/lib/python3.11/site-packages/botocore/data -mindepth 1 -maxdepth 1 -type d \
        ! -name s3 ! -name sts ! -name sso ! -name sso-oidc ! -name signin -exec rm -r {} + \
    && find /opt/archiver/lib -type d -name tests -prune -exec rm -r {} + \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/archiver/lib


FROM python:3.11-slim-bookworm

LABEL org.opencontainers.image.title="archiver" \
      org.opencontainers.image.description="Copies call recordings of Vonage Business Communications into S3, proves it, and deletes only what policy allows" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm"

COPY --from=builder /opt/archiver /opt/archiver

ENV PATH=/opt/archiver/bin:$PATH \
    ARCHIVER_CONFIG=/etc/archiver/archiver.yaml \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# A number, so that an orchestrator can see that it is not root; no entry in /etc/passwd is needed.
USER 10001:10001
WORKDIR /tmp
STOPSIGNAL SIGTERM

# Asks the daemon's own http.listen, from inside: nothing is exposed. It imports nothing of the archiver, so it is cheap.
HEALTHCHECK --interval=30s --timeout=10s --start-period=10m --retries=3 \
    CMD ["python", "-m", "archiver.healthcheck"]

ENTRYPOINT ["archiver"]
CMD ["run"]
