# Clepsydra's processes in one image: docker build -t clepsydra .
# The command says which: clepsydra worker scheduler | worker courier | gateway, see kafka-compose.yml.
FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /venv
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY agents agents
COPY topology topology
COPY gateway gateway
COPY clients/python/clepsydra_client clients/python/clepsydra_client
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check '.[apprise,dashboard,email]'

FROM python:3.12-slim
RUN groupadd --system --gid 10001 clepsydra \
    && useradd --system --uid 10001 --gid 10001 --home-dir /data --no-create-home clepsydra \
    && install -d -o clepsydra -g clepsydra /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 CLEPSYDRA_DATA=/data
USER 10001:10001
VOLUME /data
# SIGTERM drains: no shell stands between.
ENTRYPOINT ["clepsydra"]
CMD ["--help"]
