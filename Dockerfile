# The page and the API: docker build -t ferjax . && docker run --rm -p 127.0.0.1:8000:8000 ferjax
FROM python:3.11-slim

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY configs configs
COPY ferjax ferjax
RUN pip install --no-cache-dir --constraint constraints.txt '.[serve]' \
    && rm -rf /src \
    && useradd --create-home ferjax

USER ferjax
WORKDIR /home/ferjax
# What is compiled is kept here; mount a volume to keep it from start to start.
ENV FERJAX_CACHE=/home/ferjax/cache
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health')"]
ENTRYPOINT ["ferjax", "serve", "--host", "0.0.0.0", "--port", "8000"]
