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
{{- with .Values.serve.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- include "heliograph.fail" (list (printf "serve.autoscaling.minReplicas (%d) is above maxReplicas (%d)." (int .minReplicas) (int .maxReplicas))
      (printf "Allow more pods:     --set serve.autoscaling.maxReplicas=%d" (int .minReplicas))) -}}
{{- end -}}
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
{{- range .Values.serve.extraEnv -}}
{{- if eq .name "HELIOGRAPH_THREADS" -}}
{{- include "heliograph.fail" (list "serve.extraEnv: the chart sets HELIOGRAPH_THREADS itself, from the CPU request."
      "Say how many:        --set serve.resources.requests.cpu=2") -}}
{{- end -}}
{{- end -}}
{{- end -}}
