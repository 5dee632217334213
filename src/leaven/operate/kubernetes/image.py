"""The Dockerfile of the image: built in one stage, run from another without tools, as nobody; and
one that puts Ray into it."""

from __future__ import annotations

import leaven
from leaven.operate.kubernetes.plan import HOME
from leaven.operate.kubernetes.pods import USER

__all__ = ["WHEELS", "dockerfile", "dockerfile_with_ray"]

#: What stands in the folder of wheels, which the build reads.
WHEELS = """\
Wheels in this folder are taken before those of the package index: put leaven's here if you build
it yourself (pip wheel --no-deps --wheel-dir image/wheels PATH_OF_LEAVEN).
"""

_TEXT = """\
# docker build --tag registry.example.org/leaven:{version} image
# Other extras: --build-arg EXTRAS=postgres,sign,text
FROM python:3.12-slim AS build
ARG EXTRAS=postgres,sign
COPY wheels /wheels
RUN python -m venv /opt/leaven
# PyTorch for processors: without the index's gigabytes for GPUs.
RUN /opt/leaven/bin/pip install --no-cache-dir torch \\
      --index-url https://download.pytorch.org/whl/cpu
RUN /opt/leaven/bin/pip install --no-cache-dir --find-links /wheels "leaven[$EXTRAS]=={version}"

FROM python:3.12-slim
# libsndfile, which decodes sounds, comes with the package soundfile.
RUN useradd --uid {user} --user-group --no-create-home --shell /usr/sbin/nologin leaven \\
 && mkdir {home} && chown {user}:{user} {home}
COPY --from=build /opt/leaven /opt/leaven
ENV PATH=/opt/leaven/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONUTF8=1
USER {user}:{user}
WORKDIR {home}
ENTRYPOINT ["leaven"]
CMD ["--help"]
"""


def dockerfile() -> str:
    """The text, for this version of Leaven."""
    return _TEXT.format(version=leaven.__version__, user=USER, home=HOME)


_WITH_RAY = """\
# docker build --tag registry.example.org/leaven-ray:{version} image/ray
ARG LEAVEN={image}
FROM $LEAVEN
ARG RAY=2.60.0
USER root
# The probes of KubeRay ask by wget, and its shells are login shells, which forget the PATH.
RUN apt-get update && apt-get install --yes --no-install-recommends wget \\
 && rm -rf /var/lib/apt/lists/* \\
 && /opt/leaven/bin/pip install --no-cache-dir "ray[default]==$RAY" \\
 && echo 'export PATH=/opt/leaven/bin:$PATH' > /etc/profile.d/leaven.sh
USER {user}:{user}
ENTRYPOINT []
"""


def dockerfile_with_ray(image: str) -> str:
    """The text, on top of the image that serves."""
    return _WITH_RAY.format(version=leaven.__version__, user=USER, image=image)
