{{/*
Names, labels and the image. All take the root context and give text, unless they say otherwise.
*/}}

{{/* heliograph.name: the value of the label app.kubernetes.io/name. */}}
{{- define "heliograph.name" -}}
{{- default .Chart.Name .Values.nameOverride -}}
{{- end -}}

{{/*
heliograph.fullname: the name of most objects, and the start of the others. Cut at 52 characters, so that a suffix
such as -settings still fits into the 63 that a Service may have.
*/}}
{{- define "heliograph.fullname" -}}
{{- $name := include "heliograph.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/*
heliograph.selectorLabels: what never changes about a component's pods; selectors of Deployments are immutable.
Input: dict "root" $ "component" "serve".
*/}}
{{- define "heliograph.selectorLabels" -}}
app.kubernetes.io/name: {{ include "heliograph.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/*
heliograph.podLabels: all labels of a pod. The chart's version is not among them: a chart that renders the same pods
must not roll them. Input: as for heliograph.selectorLabels.
*/}}
{{- define "heliograph.podLabels" -}}
{{ include "heliograph.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: heliograph
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* heliograph.labels: all labels of an object. Input: as for heliograph.selectorLabels. */}}
{{- define "heliograph.labels" -}}
{{ include "heliograph.podLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- end -}}

{{/* heliograph.serviceAccountName: the identity of the pods. */}}
{{- define "heliograph.serviceAccountName" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "heliograph.fullname" . -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{/* heliograph.image: the image's full name; a digest wins over a tag. */}}
{{- define "heliograph.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}
