{{/*
How many pods, where somebody may have said so by kubectl. What was said lives in the cluster; an annotation
remembers what the values said then, so that an upgrade can tell whether the values have changed since. Without a
cluster (helm template) there is nothing to look up and the values count. Server-side apply keeps a record of who set
what: a live number that is applied again makes no conflict. All take dict "root" $ "component" "serve".
*/}}

{{/* heliograph.valuesAnnotation: the annotation that remembers the values. */}}
{{- define "heliograph.valuesAnnotation" -}}
heliograph/replicas-by-values
{{- end -}}

{{/* heliograph.hasKeda: `true` where KEDA scales the component. */}}
{{- define "heliograph.hasKeda" -}}
{{- with (index .root.Values .component).autoscaling -}}
{{- if and (eq $.root.Values.mode "queue") .enabled (eq (default "cpu" .by) "keda") -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{/*
heliograph.bounds: fewest and most pods, as YAML with the autoscaler's own words: the live ones unless the values changed.
*/}}
{{- define "heliograph.bounds" -}}
{{- $keda := include "heliograph.hasKeda" . -}}
{{- $least := ternary "minReplicaCount" "minReplicas" (not (empty $keda)) -}}
{{- $most := ternary "maxReplicaCount" "maxReplicas" (not (empty $keda)) -}}
{{- $given := (index .root.Values .component).autoscaling -}}
{{- $bounds := dict $least (int $given.minReplicas) $most (int $given.maxReplicas) -}}
{{- $version := ternary "keda.sh/v1alpha1" "autoscaling/v2" (not (empty $keda)) -}}
{{- $kind := ternary "ScaledObject" "HorizontalPodAutoscaler" (not (empty $keda)) -}}
{{- $live := lookup $version $kind .root.Release.Namespace (include "heliograph.componentName" .) -}}
{{- if $live -}}
{{- if eq (include "heliograph.remembered" $live) (include "heliograph.boundsByValues" .) -}}
{{- $bounds = dict $least (int (get $live.spec $least)) $most (int (get $live.spec $most)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $bounds -}}
{{- end -}}

{{/* heliograph.boundsByValues: what the annotation of the autoscaler says. */}}
{{- define "heliograph.boundsByValues" -}}
{{- with (index .root.Values .component).autoscaling -}}
{{- printf "%d-%d" (int .minReplicas) (int .maxReplicas) -}}
{{- end -}}
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
{{- with index .root.Values .component -}}
{{- if .autoscaling.enabled }}autoscaler{{ else }}{{ int .replicas }}{{ end -}}
{{- end -}}
{{- end -}}

{{/*
heliograph.replicas: spec.replicas of the Deployment, empty to leave it out.
Without autoscaling: as the values say, or what `kubectl scale` said since. With it the number belongs to the
autoscaler and is left out, unless an earlier release set it (the annotation is there): to leave out a field that one
has set takes the Deployment back to one pod until the autoscaler notices. Then the live number is handed on. An
autoscaler on CPU never begins at 0, where KEDA may have left the Deployment: there it gets the fewest.
*/}}
{{- define "heliograph.replicas" -}}
{{- $given := index .root.Values .component -}}
{{- $live := lookup "apps/v1" "Deployment" .root.Release.Namespace (include "heliograph.componentName" .) -}}
{{- $remembered := "" -}}
{{- if $live -}}
{{- $remembered = include "heliograph.remembered" $live -}}
{{- end -}}
{{- if $given.autoscaling.enabled -}}
{{- if and $live (eq (int (dig "spec" "replicas" 1 $live)) 0) (not (include "heliograph.hasKeda" .)) -}}
{{- int $given.autoscaling.minReplicas -}}
{{- else if $remembered -}}
{{- int $live.spec.replicas | default (int $given.autoscaling.minReplicas) -}}
{{- end -}}
{{- else if eq $remembered (include "heliograph.replicasByValues" .) -}}
{{- int $live.spec.replicas -}}
{{- else -}}
{{- int $given.replicas -}}
{{- end -}}
{{- end -}}

{{/* heliograph.horizontalPodAutoscaler: the whole object. */}}
{{- define "heliograph.horizontalPodAutoscaler" -}}
{{- $scaling := (index .root.Values .component).autoscaling -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "heliograph.componentName" . }}
  labels:
    {{- include "heliograph.labels" . | nindent 4 }}
  annotations:
    {{ include "heliograph.valuesAnnotation" . }}: {{ include "heliograph.boundsByValues" . | quote }}
    {{- if eq .component "worker" }}
    # KEDA refuses its object while another autoscaler is there; an upgrade makes the new one before it removes this one.
    validations.keda.sh/hpa-ownership: "false"
    {{- end }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "heliograph.componentName" . }}
  {{- include "heliograph.bounds" . | nindent 2 }}
  metrics:
    # Of this container, not of the pod: a sidecar without a CPU request would leave the pod's utilization unknown.
    - type: ContainerResource
      containerResource:
        container: heliograph
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ int $scaling.targetCPUUtilizationPercentage }}
  {{- with $scaling.behavior }}
  behavior:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* heliograph.podDisruptionBudget: the whole object. */}}
{{- define "heliograph.podDisruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "heliograph.componentName" . }}
  labels:
    {{- include "heliograph.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ (index .root.Values .component).podDisruptionBudget.maxUnavailable }}
  # A pod that never became ready must not keep a node from being drained.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "heliograph.selectorLabels" . | nindent 6 }}
{{- end -}}
