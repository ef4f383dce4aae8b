{{/*
Names, labels and the image. All take the root context and give text, unless they say otherwise.
*/}}

{{/* heliograph.name: the value of the label app.kubernetes.io/name. */}}
{{- define "heliograph.name" -}}
{{- default .Chart.Name .Values.nameOverride -}}
{{- end -}}

{{/*
heliograph.fullname: the name of most objects, and the start of the others. Cut at 40 characters, so that what is added
still fits into 63: -gateway-ops to a Service, -valkey and a revision to the label of a StatefulSet's pods.
*/}}
{{- define "heliograph.fullname" -}}
{{- $name := include "heliograph.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* heliograph.front: the component that speaks HTTP. */}}
{{- define "heliograph.front" -}}
{{- ternary "gateway" "serve" (eq .Values.mode "queue") -}}
{{- end -}}

{{/* heliograph.componentName: the name of a component's objects. Input: as for heliograph.selectorLabels. */}}
{{- define "heliograph.componentName" -}}
{{- include "heliograph.fullname" .root -}}
{{- if ne .component "serve" }}-{{ .component }}{{ end -}}
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

{{/* heliograph.selector: the same labels as kubectl and the gateway take them. Input: as for heliograph.selectorLabels. */}}
{{- define "heliograph.selector" -}}
{{- $labels := list -}}
{{- range $name, $value := include "heliograph.selectorLabels" . | fromYaml -}}
{{- $labels = append $labels (printf "%s=%s" $name $value) -}}
{{- end -}}
{{- join "," $labels -}}
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

{{/* heliograph.serviceAccountName: the identity of pods that need none. */}}
{{- define "heliograph.serviceAccountName" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "heliograph.fullname" . -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{/* heliograph.gatewayAccountName: the identity of gateways, which alone may look at pods. */}}
{{- define "heliograph.gatewayAccountName" -}}
{{- if .Values.serviceAccount.gatewayName -}}
{{- .Values.serviceAccount.gatewayName -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "heliograph.componentName" (dict "root" . "component" "gateway") -}}
{{- else -}}
{{- include "heliograph.serviceAccountName" . -}}
{{- end -}}
{{- end -}}

{{/* heliograph.hasFleet: `true` where gateways look at the workers' pods. */}}
{{- define "heliograph.hasFleet" -}}
{{- if and (eq .Values.mode "queue") .Values.fleet.enabled -}}true{{- end -}}
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
