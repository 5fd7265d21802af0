# Order entry, FIX gateway and simulated engine: one image for every service of orders.
FROM python:3.12-slim

COPY requirements.txt pyproject.toml README.md /opt/feedline/
COPY src /opt/feedline/src
COPY include /opt/feedline/include
RUN sed -E '/^ +--hash/d; s/ \\$//; /^#/d' /opt/feedline/requirements.txt > /tmp/constraints.txt \
 && pip install --no-cache-dir --constraint /tmp/constraints.txt "/opt/feedline[warehouse,cli,services,orders]" \
 && rm /tmp/constraints.txt \
 && mkdir -p /var/lib/feedline && chown 50000:0 /var/lib/feedline
WORKDIR /var/lib/feedline
USER 50000:0
ENTRYPOINT ["feedline"]
