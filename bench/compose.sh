#!/usr/bin/env bash
# compose.sh CORPUS WORK [NAME...]
#
# Runs images of the corpus (all of them, or those named) through compose.yaml on a separate Docker engine with two delta
# workers, then through `panamax backfill`. Compares both stores byte for byte: signatures, rankings, patches,
# descriptors, indexes. Prints the time of each. WORK is a directory of some 20 GB. It is kept, so that a second start is
# faster.
#
# Needs root, npm, the Debian packages docker.io, docker-compose and mmdebstrap, and versitygw in PATH or in the directory
# of `go install`. Base images are not pulled: stand-ins with the same names are built from Debian packages.
#
#   DELTA=2    number of delta workers
#   TOP=1      patches per image
#   BRIDGE, POOL  networks of the engine (172.30.99.1/24; base=172.30.112.0/20,size=24)
set -euo pipefail

panamax=$(cd "$(dirname "$0")/.." && pwd)
corpus=$(realpath "$1")
mkdir -p "$2"
work=$(realpath "$2")
shift 2
delta=${DELTA:-2} top=${TOP:-1}
export PATH="$panamax/node_modules/.bin:$PATH"

names=("$@")
if [ ${#names[@]} = 0 ]; then
  for layout in "$corpus"/*/oci-layout; do names+=("$(basename "$(dirname "$layout")")"); done
fi
say() { echo "$(date +%T) $*" >&2; }

# a separate bridge, since an engine without one removes docker0, which other engines may use
bridge=panamax0
ip link show "$bridge" > /dev/null 2>&1 || ip link add "$bridge" type bridge
ip address replace "${BRIDGE:-172.30.99.1/24}" dev "$bridge"
ip link set "$bridge" up
export DOCKER_HOST=unix://$work/engine/socket DOCKER_CONFIG=$work/engine
mkdir -p "$work/engine"
dockerd --data-root "$work/engine/data" --exec-root "$work/engine/exec" --pidfile "$work/engine/pid" \
  --host "$DOCKER_HOST" --bridge "$bridge" --default-address-pool "${POOL:-base=172.30.112.0/20,size=24}" \
  > "$work/engine/log" 2>&1 &
engine=$!
compose() {
  (cd "$panamax" && if docker compose version > /dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi)
}
stop() {
  compose logs --no-color > "$work/compose.log" 2>&1 || true
  compose down --volumes --timeout 5 > /dev/null 2>&1 || true
  kill "$engine" && wait "$engine" || true
  ip link delete "$bridge" || true
}
trap stop EXIT
for _ in $(seq 150); do
  docker info > /dev/null 2>&1 && break
  kill -0 "$engine" || { tail "$work/engine/log" >&2; exit 1; }
  sleep 0.2
done

# stand_in NAME, with a Dockerfile on standard input and files in $work/context
stand_in() {
  say "stand-in for $1"
  DOCKER_BUILDKIT=0 docker build --quiet --tag "$1" --file - "$work/context" > /dev/null
}
context=$work/context
mkdir -p "$context"
if [ ! -s "$context/debian.tar" ]; then
  say 'Debian'
  mmdebstrap --quiet --variant=minbase --include=ca-certificates,libstdc++6,redis-server,wget bookworm "$context/debian.part"
  mv "$context/debian.part" "$context/debian.tar"
fi
cp "$panamax/node_modules/node/bin/node" "$context/node"
[ -d "$context/npm" ] || cp -rL "$(dirname "$(dirname "$(realpath "$(command -v npm)")")")" "$context/npm"
cp "$(command -v versitygw || echo "$(go env GOPATH)/bin/versitygw")" "$context/versitygw"
# the machine's certificates, for downloads of packages through a proxy
cat /etc/ssl/certs/ca-certificates.crt > "$context/certificates.crt"
stand_in redis:7-bookworm << 'END'
FROM scratch
ADD debian.tar /
WORKDIR /data
END
stand_in versity/versitygw:v1.8.0 << 'END'
FROM redis:7-bookworm
COPY versitygw /usr/local/bin/
ENTRYPOINT ["versitygw"]
END
stand_in node:24-slim << 'END'
FROM redis:7-bookworm
WORKDIR /
COPY node /usr/local/bin/
COPY npm /usr/local/lib/node_modules/npm
COPY certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && useradd --uid 1000 --create-home node
END

export IMAGES=$corpus S3_SECRET_KEY REDIS_PASSWORD
REDIS_PASSWORD=$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')
S3_SECRET_KEY=$(head -c 24 /dev/urandom | base64 | tr '+/' '-_')
say "docker compose build, up --scale delta=$delta"
# one service builds the image of all
compose build
compose up --detach --scale "delta=$delta"
started=$(date +%s)
compose run --rm panamax enqueue "${names[@]/#/oci:/images/}" --top "$top" --run corpus --wait
took=$(($(date +%s) - started))
compose ps
docker stats --no-stream --format '{{.Name}} {{.MemUsage}}' >&2
rm -rf "$work/composed" "$work/embedded" "$work/scratch"
docker cp "$(compose ps --quiet s3):/data/panamax" "$work/composed"

say 'panamax backfill'
started=$(date +%s)
node "$panamax/bin/panamax.ts" backfill "${names[@]/#/oci:$corpus/}" --top "$top" --store "$work/embedded" \
  --scratch "$work/scratch"
alone=$(($(date +%s) - started))

# run records have times, and hidden files belong to the S3 server, so neither is compared
list() { (cd "$1" && find . -type f ! -path './runs/*' ! -path './.*' -print0 | sort -z | xargs -0 sha256sum); }
list "$work/composed" > "$work/composed.sums"
list "$work/embedded" > "$work/embedded.sums"
diff "$work/embedded.sums" "$work/composed.sums" > "$work/differences" ||
  { say "the stores differ: $work/differences"; head "$work/differences" >&2; exit 1; }
echo "$(wc -l < "$work/composed.sums") objects, $(grep -c '\.xdelta$' "$work/composed.sums") of them patches, are the same" \
  "byte for byte; compose with $delta delta workers $took s, backfill $alone s"
