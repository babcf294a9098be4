# syntax=docker/dockerfile:1
# Two targets: cpu, and gpu with the CUDA libraries. BASE is an image with Python 3.11, by digest: `make image BASE=...@sha256:...`.
# Runs as user 10001 with a read-only root file system; it writes to /var/lib/tiltmeter and /tmp only. There is no torch in it.
ARG BASE

FROM ${BASE} AS tools
COPY requirements/tools.txt /build/
RUN python -m venv /tools && /tools/bin/pip install --no-cache-dir --require-hashes -r /build/tools.txt

FROM tools AS wheel
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY detectors detectors
COPY dashboards dashboards
RUN /tools/bin/uv build --wheel --no-build-isolation --python /tools/bin/python --out-dir /wheel

FROM tools AS packages-cpu
COPY requirements/cpu.txt /build/
RUN python -m venv --without-pip /opt/tiltmeter \
    && /tools/bin/uv pip install --no-cache --compile-bytecode --python /opt/tiltmeter/bin/python --require-hashes -r /build/cpu.txt

FROM tools AS packages-gpu
COPY requirements/gpu.txt /build/
RUN python -m venv --without-pip /opt/tiltmeter \
    && /tools/bin/uv pip install --no-cache --compile-bytecode --python /opt/tiltmeter/bin/python --require-hashes -r /build/gpu.txt

FROM ${BASE} AS runtime
RUN groupadd --gid 10001 tiltmeter \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/tiltmeter --shell /usr/sbin/nologin tiltmeter \
    && install -d -o 10001 -g 10001 /var/lib/tiltmeter
ENV PATH=/opt/tiltmeter/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/tmp/huggingface
WORKDIR /var/lib/tiltmeter
EXPOSE 9108
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9108/healthz', timeout=4)"]
ENTRYPOINT ["tiltmeter"]
CMD ["run", "--config", "/etc/tiltmeter/config.yaml"]

# Packages are one layer, which changes with the lock; our own code is a small one on top.
FROM runtime AS gpu
COPY --from=packages-gpu /opt/tiltmeter /opt/tiltmeter
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip --python /opt/tiltmeter/bin/python install --no-cache-dir --no-deps --no-index /wheel/*.whl
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001

FROM runtime AS cpu
COPY --from=packages-cpu /opt/tiltmeter /opt/tiltmeter
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip --python /opt/tiltmeter/bin/python install --no-cache-dir --no-deps --no-index /wheel/*.whl
USER 10001:10001
