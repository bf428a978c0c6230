#!/usr/bin/env bash
# check.sh
#
# Lints the chart, renders the values of ci/ to rendered/, and validates both renderings against the schemas of Kubernetes and
# the alerts with promtool. test/deploy/chart.test.ts checks that the renderings are those of the chart. Needs helm
# (go install helm.sh/helm/v3/cmd/helm@v3.18.4), and uses kubernetes-validate (PyPI) and promtool (Debian's prometheus) if
# they are there.
set -euo pipefail
cd "$(dirname "$0")"
export PATH="$PATH:$(go env GOPATH 2> /dev/null || true)/bin"
kubernetes=1.31

mkdir -p rendered
# the same order and text on every machine
hash=$(cd panamax && LC_ALL=C find . -type f ! -name README.md | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1)
for values in panamax/ci/*-values.yaml; do
  name=$(basename "$values" -values.yaml)
  helm lint panamax --strict --values "$values" --kube-version "$kubernetes"
  {
    echo "# Made by deploy/helm/check.sh from the chart with the hash $hash"
    helm template trial panamax --namespace patches --values "$values" --kube-version "$kubernetes" | sed 's/[ ]*$//'
  } > "rendered/$name.yaml"
  if command -v kubernetes-validate > /dev/null; then
    # resources of KEDA and Prometheus have no schema there
    python3 - "rendered/$name.yaml" > "/tmp/panamax-$name.yaml" << 'END'
import re, sys
parts = open(sys.argv[1]).read().split('\n---\n')
print('\n---\n'.join(p for p in parts if not re.search(r'^kind: (ScaledObject|TriggerAuthentication|ServiceMonitor|PrometheusRule)$', p, re.M)))
END
    kubernetes-validate --strict --kubernetes-version "$kubernetes" "/tmp/panamax-$name.yaml"
    rm "/tmp/panamax-$name.yaml"
  else
    echo 'kubernetes-validate is not there: the renderings are not validated' >&2
  fi
done
if command -v promtool > /dev/null; then promtool check rules panamax/files/alerts.yaml; fi
