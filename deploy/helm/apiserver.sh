#!/usr/bin/env bash
# apiserver.sh [CRDS]
#
# Installs the chart, with each set of values of ci/, and the manifests of deploy/mirror on an API server without nodes, in
# namespaces that enforce pod security levels. Fails for a refusal and for a warning. Needs etcd, kube-apiserver, kubectl
# and helm. CRDS is a directory with the definitions of KEDA's and Prometheus' resources.
set -euo pipefail
cd "$(dirname "$0")"
export PATH="$PATH:$(go env GOPATH 2> /dev/null || true)/bin"
work=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null; wait; rm -rf "$work"' EXIT

# an API server with a token for everything
openssl genrsa -out "$work/sa.key" 2048 2> /dev/null
echo 'secret,admin,admin,system:masters' > "$work/tokens"
etcd --data-dir "$work/etcd" --listen-client-urls http://127.0.0.1:23790 --advertise-client-urls http://127.0.0.1:23790 \
  --listen-peer-urls http://127.0.0.1:23800 > "$work/etcd.log" 2>&1 &
kube-apiserver --etcd-servers http://127.0.0.1:23790 --bind-address 127.0.0.1 --secure-port 64430 --cert-dir "$work" \
  --service-cluster-ip-range 10.96.0.0/24 --service-account-issuer https://kubernetes.default.svc \
  --service-account-key-file "$work/sa.key" --service-account-signing-key-file "$work/sa.key" \
  --token-auth-file "$work/tokens" --authorization-mode RBAC > "$work/apiserver.log" 2>&1 &
export KUBECONFIG=$work/kubeconfig
kubectl config set-cluster trial --server https://127.0.0.1:64430 --certificate-authority "$work/apiserver.crt" > /dev/null
kubectl config set-credentials admin --token secret > /dev/null
kubectl config set-context trial --cluster trial --user admin > /dev/null
kubectl config use-context trial > /dev/null
for _ in $(seq 60); do
  kubectl get --raw /readyz > /dev/null 2>&1 && break
  kill -0 $! || { tail "$work/apiserver.log" >&2; exit 1; }
  sleep 2
done
kubectl version
[ -z "${1:-}" ] || kubectl create --filename "$1" > /dev/null

# says what is done, and fails for a warning
quietly() {
  echo "$*"
  "$@" > "$work/out" 2> "$work/err" || { cat "$work/err" >&2; exit 1; }
  if grep -i warning "$work/err" >&2; then exit 1; fi
}
namespace() {
  kubectl create namespace "$1" > /dev/null
  kubectl label namespace "$1" "pod-security.kubernetes.io/enforce=$2" "pod-security.kubernetes.io/warn=$2" > /dev/null
}

for values in panamax/ci/*-values.yaml; do
  name=$(basename "$values" -values.yaml)
  namespace "$name" restricted
  quietly helm install trial panamax --namespace "$name" --values "$values"
  quietly helm upgrade trial panamax --namespace "$name" --values "$values"
  kubectl get deployments,statefulsets,services,pvc,pdb --namespace "$name" --output name
done
namespace panamax privileged
for manifest in ../mirror/*.yaml; do
  quietly kubectl apply --dry-run=server --filename "$manifest"
  quietly kubectl apply --filename "$manifest"
done
echo 'all of it was accepted without a warning'
