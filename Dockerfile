FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# The libraries change rarely and come first: a change in app/ rebuilds only what follows.
COPY requirements.txt requirements-build.txt ./
RUN python -m venv --without-pip /opt/telemed \
 && pip --python /opt/telemed install --require-hashes -r requirements.txt \
 && pip install --require-hashes -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY app app
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && pip --python /opt/telemed install --no-deps --no-index /dist/*.whl

FROM python:3.13-slim
ENV PATH=/opt/telemed/bin:$PATH PYTHONUNBUFFERED=1
# A fixed uid, so that volumes and Kubernetes' runAsUser can name it; a home, because `telemed demo` keeps its data there.
RUN groupadd --gid 10001 telemed \
 && useradd --uid 10001 --gid telemed --create-home --shell /usr/sbin/nologin telemed
COPY --from=build /opt/telemed /opt/telemed
COPY deploy/make_secrets.py /opt/telemed/share/make_secrets.py
USER 10001:10001
WORKDIR /home/telemed
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
CMD ["telemed", "serve", "--host", "0.0.0.0", "--port", "8000"]
