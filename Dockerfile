# docker build -t signetscan .
# docker build -t signetscan:gpu --build-arg EXTRA=gpu --build-arg BASE=nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04 .
ARG BASE=debian:bookworm-slim
FROM ${BASE}
ARG EXTRA=cpu

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

COPY . /src
RUN python3 -m venv /opt/signetscan \
    && /opt/signetscan/bin/pip install --no-cache-dir "/src[${EXTRA},formats,report]" \
    && rm -rf /src

# Results belong to whoever runs the container: docker run --user "$(id -u):$(id -g)".
RUN useradd --create-home signetscan
USER signetscan
WORKDIR /data
ENV PATH=/opt/signetscan/bin:$PATH
ENTRYPOINT ["signetscan"]
CMD ["--help"]
