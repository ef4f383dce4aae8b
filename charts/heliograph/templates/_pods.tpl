{{/*
Parts of pod specs, as YAML at column 0. All take the root context.
*/}}

{{/* heliograph.placement: on which nodes pods run, and how soon they leave one that went silent. */}}
{{- define "heliograph.placement" -}}
{{- with .Values.serve.nodeSelector -}}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{ end -}}
tolerations:
  {{- range list "not-ready" "unreachable" }}
  - key: node.kubernetes.io/{{ . }}
    operator: Exists
    effect: NoExecute
    tolerationSeconds: {{ int $.Values.serve.nodeFailureSeconds }}
  {{- end }}
  {{- with .Values.serve.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.serve.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
heliograph.spread: pods prefer zones and nodes that have fewer of them. Only the pods of one version are counted: those of
the version that is being replaced will go.
*/}}
{{- define "heliograph.spread" -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "heliograph.selectorLabels" (dict "root" $ "component" "serve") | nindent 8 }}
  {{- end }}
{{- end -}}
