{{/*
How many pods, where somebody may have said so by kubectl. What was said lives in the cluster; an annotation
remembers what the values said then, so that an upgrade can tell whether the values have changed since. Without a
cluster (helm template) there is nothing to look up and the values count. Server-side apply keeps a record of who set
what: a live number that is applied again makes no conflict.
*/}}

{{/* heliograph.valuesAnnotation: the annotation that remembers the values. */}}
{{- define "heliograph.valuesAnnotation" -}}
heliograph/replicas-by-values
{{- end -}}

{{/* heliograph.bounds: minReplicas and maxReplicas of the autoscaler, as YAML: the live ones unless the values changed. */}}
{{- define "heliograph.bounds" -}}
{{- $bounds := dict "minReplicas" (int .Values.serve.autoscaling.minReplicas) "maxReplicas" (int .Values.serve.autoscaling.maxReplicas) -}}
{{- $live := lookup "autoscaling/v2" "HorizontalPodAutoscaler" .Release.Namespace (include "heliograph.fullname" .) -}}
{{- if $live -}}
{{- if eq (include "heliograph.remembered" $live) (include "heliograph.boundsByValues" .) -}}
{{- $bounds = dict "minReplicas" (int $live.spec.minReplicas) "maxReplicas" (int $live.spec.maxReplicas) -}}
{{- end -}}
{{- end -}}
{{- toYaml $bounds -}}
{{- end -}}

{{/* heliograph.boundsByValues: what the annotation of the autoscaler says. */}}
{{- define "heliograph.boundsByValues" -}}
{{- printf "%d-%d" (int .Values.serve.autoscaling.minReplicas) (int .Values.serve.autoscaling.maxReplicas) -}}
{{- end -}}

{{/* heliograph.remembered: what the annotation of a live object says; empty if it has none. Input: the object. */}}
{{- define "heliograph.remembered" -}}
{{- dig "metadata" "annotations" (include "heliograph.valuesAnnotation" .) "" . -}}
{{- end -}}

{{/*
heliograph.replicasByValues: what the annotation of the Deployment says. The autoscaler's number is nobody's wish: when it
is switched off, the values count.
*/}}
{{- define "heliograph.replicasByValues" -}}
{{- if .Values.serve.autoscaling.enabled }}autoscaler{{ else }}{{ int .Values.serve.replicas }}{{ end -}}
{{- end -}}

{{/*
heliograph.replicas: spec.replicas of the Deployment, empty to leave it out.
Without autoscaling: as the values say, or what `kubectl scale` said since. With it the number belongs to the
autoscaler and is left out, unless an earlier release set it (the annotation is there): to leave out a field that one
has set takes the Deployment back to one pod until the autoscaler notices. Then the live number is handed on.
*/}}
{{- define "heliograph.replicas" -}}
{{- $live := lookup "apps/v1" "Deployment" .Release.Namespace (include "heliograph.fullname" .) -}}
{{- $remembered := "" -}}
{{- if $live -}}
{{- $remembered = include "heliograph.remembered" $live -}}
{{- end -}}
{{- if .Values.serve.autoscaling.enabled -}}
{{- if $remembered -}}
{{- int $live.spec.replicas | default (int .Values.serve.autoscaling.minReplicas) -}}
{{- end -}}
{{- else if eq $remembered (include "heliograph.replicasByValues" .) -}}
{{- int $live.spec.replicas -}}
{{- else -}}
{{- int .Values.serve.replicas -}}
{{- end -}}
{{- end -}}
