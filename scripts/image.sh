# shellcheck shell=bash
# How scripts/deploy makes the image and brings it to the nodes. Read by it, after scripts/kubernetes.sh.

image=           # REPOSITORY[:TAG][@DIGEST]; after the build the name of what was built
build_options=() # of docker build
push=            # --push
load_with=       # --load-with
delivery=        # how the image comes to the nodes: push, load, minikube, kind, k3d or shared
cluster=         # the profile or cluster that minikube, kind or k3d brings it to

choose_delivery() {
    local name
    name=${context:-$(kubectl config current-context 2>/dev/null || true)}
    # Minikube's nodes carry the profile's name, whatever the context is called.
    cluster=$(cluster_wide get nodes -o 'jsonpath={.items[0].metadata.labels.minikube\.k8s\.io/name}' 2>/dev/null || true)
    if [ -n "$push" ]; then
        delivery=push
    elif [ -n "$load_with" ]; then
        delivery=load
    elif [ -n "$cluster" ] && [ "$cluster" = "${MINIKUBE_ACTIVE_DOCKERD:-}" ]; then
        delivery=shared # `minikube docker-env`: docker builds inside Minikube
    elif [ -n "$cluster" ]; then
        delivery=minikube
    else
        cluster=${name#*-}
        case $name in
            kind-*) delivery=kind ;;
            k3d-*) delivery=k3d ;;
            docker-desktop) delivery=shared ;;
            *)
                fail "How does the image come to the nodes of ${name:-this cluster}? Say one of these:" \
                    "--image REGISTRY/NAME --push (they pull it), --load-with COMMAND (you load it), --no-build (they have it)."
                ;;
        esac
    fi
    case $delivery in
        minikube | kind | k3d) needs_tool "$delivery" "It brings the image to the nodes; --load-with names another way." ;;
    esac
}

needs_docker() {
    needs_tool docker "Install Docker to build the image, or name one that is built: --image REPOSITORY:TAG --no-build."
}

check_docker() {
    local answer
    if answer=$(docker version --format '{{.Server.Version}}' 2>&1); then return; fi
    fail "Docker's engine does not answer: ${answer##*$'\n'}" \
        "Start it, or name an image that is built: --image REPOSITORY:TAG --no-build."
}

# Splits `image` into repository, tag and digest; the colon of a registry's port is none of a tag.
# shellcheck disable=SC2034  # scripts/deploy reads them
split_image() {
    repository=$image tag='' digest=''
    case $repository in *@*) digest=${repository##*@} repository=${repository%@*} ;; esac
    case ${repository##*/} in *:*) tag=${repository##*:} repository=${repository%:*} ;; esac
}

# Builds, and names the image by its content: what changed rolls the pods, what did not leaves them alone.
build_image() {
    local id nodes
    image=${image:-heliograph}
    split_image
    tag=${tag:-$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$root/src/heliograph/__init__.py")}
    nodes=$(cluster_wide get nodes -o 'jsonpath={.items[*].status.nodeInfo.architecture}' 2>/dev/null || true)
    nodes=$(printf '%s' "$nodes" | tr ' ' '\n' | sort -u)
    case $nodes in
        "" | *$'\n'* | "$(docker version --format '{{.Server.Arch}}')") ;; # unknown, mixed, or the engine's own
        *) build_options+=(--platform "linux/$nodes") ;;
    esac
    say "Building $repository:$tag (minutes the first time, seconds later)"
    # Provenance holds the time of the build; with it the same image would get another id each time.
    BUILDX_NO_DEFAULT_ATTESTATIONS=1 docker build ${build_options[@]+"${build_options[@]}"} \
        --tag "$repository:$tag" "$root"
    id=$(docker image inspect --format '{{.Id}}' "$repository:$tag")
    id=${id#sha256:}
    image=$repository:$tag-${id:0:12}
    docker tag "$repository:$tag" "$image"
}

deliver_image() {
    if [ "$delivery" = shared ]; then return; fi # the nodes use the images of Docker's engine
    say "Bringing $image to the nodes ($delivery)"
    case $delivery in
        push) docker push "$image" ;;
        load) sh -c "$load_with \"\$1\"" sh "$image" ;;
        minikube) minikube --profile "$cluster" image load "$image" ;;
        kind) kind load docker-image "$image" --name "$cluster" ;;
        k3d) k3d image import "$image" --cluster "$cluster" ;;
    esac || fail "The image could not be brought to the nodes." "--load-with COMMAND or --image REGISTRY/NAME --push are other ways."
}
