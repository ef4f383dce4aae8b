{{/*
Combinations of values that cannot work. What the schema can say is in values.schema.json.
*/}}

{{/* heliograph.fail: stops with a message. Input: a list, what is wrong and then the lines that help. */}}
{{- define "heliograph.fail" -}}
{{- fail (printf "\n\n%s\n" (join "\n  " .)) -}}
{{- end -}}

{{/* heliograph.checks: fails if the values contradict each other. Included once, by the Deployment. */}}
{{- define "heliograph.checks" -}}
{{- with .Values.auth -}}
{{- if and .keys .existingSecret -}}
{{- include "heliograph.fail" (list "auth.keys and auth.existingSecret are both given."
      "Keep one of them. Without the Secret:    --set auth.existingSecret=''") -}}
{{- end -}}
{{- if and (eq (include "heliograph.authMode" $) "off") (or .keys .existingSecret) -}}
{{- include "heliograph.fail" (list "auth.mode is `off`, but API keys are given."
      "To ask for them:     --set auth.mode=keys"
      "To ask nobody:       leave out auth.keys and auth.existingSecret") -}}
{{- end -}}
{{- end -}}
{{- range $component := list "serve" "gateway" "worker" -}}
{{- with (index $.Values $component).autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- include "heliograph.fail" (list (printf "%s.autoscaling.minReplicas (%d) is above maxReplicas (%d)." $component (int .minReplicas) (int .maxReplicas))
      (printf "Allow more pods:     --set %s.autoscaling.maxReplicas=%d" $component (int .minReplicas))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.mode "queue" -}}
{{- include "heliograph.checkQueue" . -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- include "heliograph.fail" (list "ingress.enabled needs a host."
      "Name it:             --set 'ingress.hosts[0].host=pictures.example.org'") -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- include "heliograph.fail" (list "httpRoute.enabled needs a Gateway."
      "See which there are: kubectl get gateways --all-namespaces"
      "Name one:            --set 'httpRoute.parentRefs[0].name=GATEWAY,httpRoute.parentRefs[0].namespace=NAMESPACE'") -}}
{{- end -}}
{{- range $setting := list "classificationModel" "backgroundModel" -}}
{{- $model := get $.Values.settings $setting -}}
{{- if and $model (not (has $model $.Values.models.serve)) -}}
{{- include "heliograph.fail" (list (printf "settings.%s is %s, which is not served." $setting $model)
      (printf "Serve it too:        --set 'models.serve={%s}'" (append $.Values.models.serve $model | join ","))) -}}
{{- end -}}
{{- end -}}
{{- range $component := list "serve" "gateway" "worker" -}}
{{- range (index $.Values $component).extraEnv -}}
{{- if eq .name "HELIOGRAPH_THREADS" -}}
{{- include "heliograph.fail" (list (printf "%s.extraEnv: the chart sets HELIOGRAPH_THREADS itself, from the CPU request." $component)
      (printf "Say how many:        --set %s.resources.requests.cpu=2" $component)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
heliograph.checkDisk: the server's volume. A StatefulSet's claims cannot be changed: of a live one, size and class are
taken over, but whether there is one at all cannot be.
*/}}
{{- define "heliograph.checkDisk" -}}
{{- with .Values.valkey -}}
{{- $size := .persistence.size -}}
{{- $megabytes := dict "Mi" 1 "Gi" 1024 "Ti" 1048576 -}}
{{- $given := mul (int64 (regexFind "^[0-9]+" $size)) (get $megabytes (regexFind "[A-Z]i$" $size)) -}}
{{- if and .persistence.enabled (lt $given (mul 4 (int .maxMemoryMegabytes))) -}}
{{- include "heliograph.fail" (list (printf "valkey.persistence.size (%s) is less than four times maxMemoryMegabytes (%d): the log is rewritten beside itself." $size (int .maxMemoryMegabytes))
      (printf "More disk:           --set valkey.persistence.size=%dGi" (div (add 1023 (mul 4 (int .maxMemoryMegabytes))) 1024))) -}}
{{- end -}}
{{- end -}}
{{- if include "heliograph.hasValkey" . -}}
{{- $live := include "heliograph.liveValkey" . | fromYaml -}}
{{- if and $live (ne (empty $live.spec.volumeClaimTemplates) (not .Values.valkey.persistence.enabled)) -}}
{{- include "heliograph.fail" (list "valkey.persistence.enabled cannot be changed while the server is there."
      (printf "Let jobs end, then:  kubectl --namespace %s delete statefulset %s" .Release.Namespace (include "heliograph.componentName" (dict "root" . "component" "valkey")))) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* heliograph.checkQueue: the same for what only a queue has. */}}
{{- define "heliograph.checkQueue" -}}
{{- $scaling := .Values.worker.autoscaling -}}
{{- if and .Values.queue.url (regexMatch ":.*:.*@|[?&]password=" .Values.queue.url) -}}
{{- include "heliograph.fail" (list "queue.url holds a password, which everybody could read."
      "Put it in a Secret:  kubectl create secret generic queue --from-literal=password=…"
      "Name that:           --set queue.existingSecret=queue") -}}
{{- end -}}
{{- if and .Values.queue.url (not (regexMatch "^rediss?://([^][:/?#@%]+@)?([^][:/?#@%]+|\\[[0-9a-fA-F:.]+\\])(:[0-9]+)?(/[0-9]*)?$" .Values.queue.url)) -}}
{{- include "heliograph.fail" (list "queue.url is redis://HOST or rediss://HOST, and perhaps USER@ before, :PORT and /DATABASE behind the host."
      "For example:         --set queue.url=rediss://ann@queue.example.org:6380/0"
      "The server's certificate must be of an authority that everybody knows; a query is not understood by KEDA.") -}}
{{- end -}}
{{- if and $scaling.enabled (eq $scaling.by "cpu") (lt (int $scaling.minReplicas) 1) -}}
{{- include "heliograph.fail" (list "worker.autoscaling.minReplicas is 0, but an autoscaler that follows CPU needs a pod to look at."
      "Keep one:            --set worker.autoscaling.minReplicas=1"
      "Follow the queue:    --set worker.autoscaling.by=keda        (KEDA has to be installed)") -}}
{{- end -}}
{{- if and .Values.fleet.enabled (not .Values.serviceAccount.create) (not .Values.serviceAccount.gatewayName) -}}
{{- include "heliograph.fail" (list "Gateways need a service account of their own for `fleet`: whatever else uses the same one would get its rights."
      "Let the chart make it:    --set serviceAccount.create=true"
      "Name one of yours:        --set serviceAccount.gatewayName=NAME"
      "Do without:               --set fleet.enabled=false") -}}
{{- end -}}
{{- include "heliograph.checkDisk" . -}}
{{- /* Only a real cluster has this API, so a mere rendering is not asked for KEDA. */ -}}
{{- if and (include "heliograph.hasKeda" (dict "root" . "component" "worker"))
      (.Capabilities.APIVersions.Has "apiregistration.k8s.io/v1")
      (not (.Capabilities.APIVersions.Has "keda.sh/v1alpha1/ScaledObject")) -}}
{{- include "heliograph.fail" (list "worker.autoscaling.by is `keda`, but KEDA is not installed in this cluster."
      "Install it:          https://keda.sh/docs/latest/deploy/"
      "Follow CPU instead:  --set worker.autoscaling.by=cpu,worker.autoscaling.minReplicas=1") -}}
{{- end -}}
{{- end -}}
