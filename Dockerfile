# curate as an image: docker build -t curate --build-arg VERSION=$(git describe --tags --abbrev=0) .
# Without VERSION it calls itself by the fallback version of pyproject.toml, for there is no .git in it.
# For NPU hosts: --build-arg BASE=an image of the same Debian or Ubuntu with CANN and Python 3.11
#                --build-arg EXTRAS=postgres,parquet,ocr,mindspore
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG EXTRAS=postgres,parquet,ocr
ARG VERSION=
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY cli cli
COPY configs configs
COPY db db
COPY export export
COPY tasks tasks
COPY view view
COPY worker worker
RUN python3 -m venv /opt/curate \
    && ${VERSION:+env SETUPTOOLS_SCM_PRETEND_VERSION_FOR_CURATE_T2V=$VERSION} \
       /opt/curate/bin/pip install --no-cache-dir ".[${EXTRAS}]" \
    && /opt/curate/bin/pip install --no-cache-dir --no-deps "imagededup>=0.3.3" \
    && case "${EXTRAS}" in *mindspore*) \
       /opt/curate/bin/pip install --no-cache-dir --no-deps mindone==0.5.0 ;; esac

FROM ${BASE}
# of RapidOCR's OpenCV
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/curate /opt/curate
# the owner of what is written to the media volume; run with --user for another one
RUN useradd --uid 1000 --create-home curate && mkdir /data && chown curate:curate /data
ENV PATH=/opt/curate/bin:$PATH CURATE_HOME=/data PYTHONUNBUFFERED=1
USER curate
WORKDIR /data
VOLUME /data
ENTRYPOINT ["curate"]
CMD ["--help"]
