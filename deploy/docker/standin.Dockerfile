# The Snowflake stand-in, for trying the system without an account. Not for data that matters.
FROM python:3.12-slim
COPY requirements.txt /tmp/requirements.txt
RUN sed -E '/^ +--hash/d; s/ \\$//; /^#/d' /tmp/requirements.txt > /tmp/constraints.txt \
 && pip install --no-cache-dir --constraint /tmp/constraints.txt "fakesnow[server]" \
 && useradd --create-home standin
USER standin
EXPOSE 8085
CMD ["fakesnow", "--server", "--host", "0.0.0.0", "--port", "8085"]
