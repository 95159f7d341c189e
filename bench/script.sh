#!/usr/bin/env bash
# What one would write without a portal: makes every store in a folder, some at a time.
#
#   script.sh FOLDER WORKERS CHART
#
# FOLDER/<namespace>/objects.json is the namespace, its guardrails and Secrets, as a List in the
# order in which they must be made; FOLDER/<namespace>/values.json the chart's values. KUBECONFIG
# names the cluster. KUBECTL_FLAGS and HELM_FLAGS are added to `kubectl apply` and `helm upgrade`.
set -euo pipefail
export CHART=$3 KUBECTL_FLAGS=${KUBECTL_FLAGS:-} HELM_FLAGS=${HELM_FLAGS:-}

make_store() {
  set -euo pipefail
  local folder=$1 namespace
  namespace=$(basename "$folder")
  # shellcheck disable=SC2086  # flags are words
  kubectl apply --server-side $KUBECTL_FLAGS -f "$folder/objects.json"
  # Until the quota knows what is used, it refuses what it counts, Helm's records included.
  kubectl wait --timeout=60s --namespace "$namespace" \
    --for=jsonpath='{.status.used.pods}' resourcequota/store-quota
  # shellcheck disable=SC2086
  helm upgrade store "$CHART" --install --wait --wait-for-jobs $HELM_FLAGS \
    --namespace "$namespace" --values "$folder/values.json"
}
export -f make_store

printf '%s\0' "$1"/* | xargs -0 -n 1 -P "$2" bash -c 'make_store "$1"' make_store
