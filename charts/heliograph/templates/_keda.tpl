{{/*
KEDA scales the workers by what waits and what runs in the queue. Both count: jobs that run are no backlog any more, but
their workers must stay.
*/}}

{{/* heliograph.scaledObject: the whole objects. Input: as for heliograph.selectorLabels. */}}
{{- define "heliograph.scaledObject" -}}
{{- $root := .root -}}
{{- $scaling := (index $root.Values .component).autoscaling -}}
{{- $name := include "heliograph.componentName" . -}}
{{- $secret := include "heliograph.passwordSecret" $root -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ $name }}
  labels:
    {{- include "heliograph.labels" . | nindent 4 }}
  annotations:
    {{ include "heliograph.valuesAnnotation" . }}: {{ include "heliograph.boundsByValues" . | quote }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ $name }}
  {{- $bounds := include "heliograph.bounds" . }}
  {{- $bounds | nindent 2 }}
  {{- if eq (int ($bounds | fromYaml).minReplicaCount) 0 }}
  pollingInterval: {{ int $scaling.pollingSeconds }}
  cooldownPeriod: {{ int $scaling.cooldownSeconds }}
  {{- end }}
  {{- with $scaling.behavior }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        {{- toYaml . | nindent 8 }}
  {{- end }}
  triggers:
    {{- range $stream := list "interactive" "bulk" }}
    {{- range $what, $count := dict "waiting" "lagCount" "running" "pendingEntriesCount" }}
    - type: redis-streams
      name: {{ $stream }}-{{ $what }}
      metadata:
        {{- include "heliograph.queuePlace" $root | nindent 8 }}
        stream: {{ printf "{heliograph:%s}:stream:%s" (include "heliograph.queueName" $root) $stream | quote }}
        consumerGroup: workers
        {{ $count }}: {{ int $scaling.jobsPerWorker | quote }}
        activationLagCount: "0"
      {{- if $secret }}
      authenticationRef:
        name: {{ $name }}
      {{- end }}
    {{- end }}
    {{- end }}
{{- if $secret }}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata:
  name: {{ $name }}
  labels:
    {{- include "heliograph.labels" . | nindent 4 }}
spec:
  secretTargetRef:
    - parameter: password
      name: {{ $secret | quote }}
      key: {{ include "heliograph.passwordKey" $root | quote }}
{{- end }}
{{- end -}}

{{/* heliograph.queuePlace: where KEDA finds the queue's server, as a trigger's metadata. Input: the root context. */}}
{{- define "heliograph.queuePlace" -}}
{{- if .Values.queue.url -}}
{{- $url := urlParse .Values.queue.url -}}
address: {{ include "heliograph.queueAddress" . | quote }}
databaseIndex: {{ trimPrefix "/" $url.path | default "0" | quote }}
enableTLS: {{ eq $url.scheme "rediss" | quote }}
{{- with $url.userinfo }}
username: {{ . | quote }}
{{- end }}
{{- else -}}
address: {{ printf "%s.%s.svc:6379" (include "heliograph.componentName" (dict "root" . "component" "valkey")) .Release.Namespace | quote }}
databaseIndex: "0"
{{- end -}}
{{- end -}}
