# An image in which the steps start at once: packages and data are there, each verified against its digest, and the
# code of this checkout, which the steps of a pipeline compiled from it ask for.
#
#   docker build -t registry.example/fmnist:1 . && docker push registry.example/fmnist:1
#   fmnist compile --image registry.example/fmnist@sha256:...
#
# Compile for the digest that the push prints: Kubeflow's cache knows an image by its name alone.
FROM python:3.11.13-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends dataset-fashion-mnist \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/fmnist
COPY requirements.lock ./
# One package comes as source; it is built with what the image has, and nothing is fetched for that.
RUN pip install --no-cache-dir --no-deps --no-build-isolation --require-hashes -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY fmnist fmnist
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

# The data, decompressed; it is verified again each time it is read.
ENV FMNIST_DATA_DIR=/opt/fmnist/data
RUN fmnist data --offline

# Clusters may choose the user, who then has neither name nor rights, and let only /tmp be written.
ENV HOME=/tmp
USER 1000
WORKDIR /tmp
