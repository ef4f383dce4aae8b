# shellcheck shell=bash
# What scripts/deploy, scripts/cleanup and scripts/explain share: options, messages, the way to the cluster. Each of them
# reads this file and sets `root`. All keep to bash 3.2, which macOS has.
# shellcheck disable=SC2034  # those that read this file use the variables

release=heliograph
namespace=heliograph
context=
cluster_version= # of Kubernetes
# Tools of the PATH come before those of `make kubernetes-tools`.
PATH=$PATH:${root:?}/.venv/bin

say() { printf '==> %s\n' "$*"; }

# The comment at the top of the script.
usage() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"; }

# What is wrong, then the lines that help.
fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    shift
    if [ $# -gt 0 ]; then printf '  %s\n' "$@" >&2; fi
    exit 1
}

misuse() {
    printf '%s: %s\n  %s --help lists the options.\n' "${0##*/}" "$1" "$0" >&2
    exit 2
}

# Whether a word is an option that all three have, with its value behind it. Such an option is taken in.
shared_option() {
    case "$1" in
        --context | --namespace | --release) ;;
        -h | --help) usage && exit ;;
        *) return 1 ;;
    esac
    needs_value "$@"
    printf -v "${1#--}" '%s' "$2"
}

needs_value() {
    if [ $# -lt 2 ] || [ -z "$2" ]; then misuse "$1 needs a value."; fi
}

needs_tool() {
    command -v "$1" >/dev/null || fail "$1 is missing." "${@:2}"
}

cluster_wide() { kubectl ${context:+"--context=$context"} "$@"; }

kube() { cluster_wide "--namespace=$namespace" "$@"; }

chart() { helm ${context:+"--kube-context=$context"} "--namespace=$namespace" "$@"; }

needs_kubernetes_tools() {
    local tool
    for tool in kubectl helm; do
        needs_tool "$tool" "\`make kubernetes-tools\` puts kubectl and helm into .venv/bin, where this script finds them."
    done
}

# Returns if the cluster answers, and then knows its version.
reach_cluster() {
    local answer
    if answer=$(cluster_wide get --raw /version --request-timeout=5s 2>&1); then
        cluster_version=$(printf '%s\n' "$answer" | sed -n 's/.*"gitVersion": *"\([^"]*\)".*/\1/p')
        return
    fi
    if [ -z "$context" ] && ! kubectl config current-context >/dev/null 2>&1; then
        fail "No cluster is chosen: ${KUBECONFIG:-$HOME/.kube/config} names none." \
            "Start one (minikube start), or choose: --context NAME, \`kubectl config use-context NAME\`, KUBECONFIG=FILE."
    fi
    fail "The cluster of context ${context:-$(kubectl config current-context)} does not answer: ${answer##*$'\n'}" \
        "Start it (minikube start), or choose another: \`kubectl config get-contexts\` lists them, --context takes one."
}
