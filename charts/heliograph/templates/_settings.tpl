{{/*
What the process is told: environment variables, API keys, and how long it may take to stop.
*/}}

{{/* heliograph.authMode: `auth.mode`; YAML reads off without quotes as false. */}}
{{- define "heliograph.authMode" -}}
{{- .Values.auth.mode | toString | replace "false" "off" -}}
{{- end -}}

{{/*
heliograph.authentication: "keys" or "off", whatever `auth.mode` says. Fails where the service would be open to
everybody without anybody having said so.
*/}}
{{- define "heliograph.authentication" -}}
{{- $mode := include "heliograph.authMode" . -}}
{{- $given := or .Values.auth.keys .Values.auth.existingSecret -}}
{{- if eq $mode "off" -}}
off
{{- else if $given -}}
keys
{{- else if eq $mode "keys" -}}
{{- include "heliograph.fail" (list "auth.mode is `keys`, but there are none."
      "Make one (it is shown once):      heliograph keys create laptop"
      "Give its line to the chart:       --set-json 'auth.keys=[\"laptop predict 1f2e…\"]'"
      "or name a Secret that has it:     --set auth.existingSecret=NAME") -}}
{{- else if include "heliograph.exposed" . -}}
{{- include "heliograph.fail" (list (printf "%s would let everybody in: there are no API keys." (include "heliograph.exposed" .))
      "Make a key and give its line:     heliograph keys create laptop      --set-json 'auth.keys=[\"laptop predict 1f2e…\"]'"
      "or say that nobody is asked:      --set auth.mode=off") -}}
{{- else -}}
off
{{- end -}}
{{- end -}}

{{/* heliograph.exposed: what makes the service reachable from outside the cluster; empty if nothing does. */}}
{{- define "heliograph.exposed" -}}
{{- if ne .Values.service.type "ClusterIP" -}}
service.type {{ .Values.service.type }}
{{- else if .Values.ingress.enabled -}}
ingress.enabled
{{- else if .Values.httpRoute.enabled -}}
httpRoute.enabled
{{- end -}}
{{- end -}}

{{/* heliograph.keysSecret: the Secret with the key lines. */}}
{{- define "heliograph.keysSecret" -}}
{{- default (printf "%s-keys" (include "heliograph.fullname" .)) .Values.auth.existingSecret -}}
{{- end -}}

{{/* heliograph.keysSecretKey: the key in that Secret under which they are. */}}
{{- define "heliograph.keysSecretKey" -}}
{{- if .Values.auth.existingSecret }}{{ .Values.auth.existingSecretKey }}{{ else }}api-keys{{ end -}}
{{- end -}}

{{/*
heliograph.environment: the variables of the ConfigMap, as YAML. A setting is named by its key: maxInFlight is
HELIOGRAPH_MAX_IN_FLIGHT. Whole numbers need the detour: Helm reads them as floats and would print 6.4e+07.
*/}}
{{- define "heliograph.environment" -}}
HELIOGRAPH_PORT: "8000"
HELIOGRAPH_OPS_PORT: "8001"
{{- if eq .Values.mode "queue" }}
HELIOGRAPH_REDIS_URL: {{ include "heliograph.queueUrl" . | quote }}
{{- if .Values.queue.blobs.enabled }}
HELIOGRAPH_BLOB_DIR: /blobs
HELIOGRAPH_BLOB_OWNER: {{ printf "%s/%s" .Release.Namespace .Release.Name }}
{{- end }}
{{- else }}
HELIOGRAPH_JOBS: "false"
{{- end }}
{{- range $name, $value := .Values.settings }}
{{- if kindIs "slice" $value }}
{{- $value = join "," $value }}
{{- else if and (kindIs "float64" $value) (eq $value (floor $value)) }}
{{- $value = int64 $value }}
{{- end }}
HELIOGRAPH_{{ $name | snakecase | upper }}: {{ $value | toString | quote }}
{{- end }}
HELIOGRAPH_MODELS: {{ join "," .Values.models.serve | quote }}
{{- if .Values.models.volume }}
HELIOGRAPH_MODEL_MIRRORS: {{ ternary "/models:/opt/heliograph/models" "/models" (hasKey .Values.settings "modelDir") | quote }}
{{- end }}
{{- if eq (include "heliograph.authentication" .) "keys" }}
HELIOGRAPH_AUTH: "auto"
HELIOGRAPH_API_KEYS_FILE: /etc/heliograph/keys/{{ include "heliograph.keysSecretKey" . }}
{{- else }}
HELIOGRAPH_AUTH: "off"
{{- end }}
{{- end -}}

{{/* heliograph.keys: the lines of the chart's own Secret. */}}
{{- define "heliograph.keys" -}}
{{- join "\n" .Values.auth.keys -}}
{{- end -}}

{{/*
heliograph.stopSeconds: how long a pod may take to stop without anything taken being lost. Where it speaks HTTP it
accepts for drainSeconds, then an upload that just began may arrive and be answered; the process gives both 5 s more,
each of its two ports 1 s for requests that are on their way, and a second is left to free the models. A worker goes on
with its jobs for finishSeconds and then hands them back. Input: as for heliograph.selectorLabels.
*/}}
{{- define "heliograph.stopSeconds" -}}
{{- with .root.Values.settings -}}
{{- if eq $.component "worker" -}}
{{- addf .finishSeconds 10 | ceil | int64 -}}
{{- else -}}
{{- addf .drainSeconds .uploadTimeoutSeconds .requestTimeoutSeconds 8 | ceil | int64 -}}
{{- end -}}
{{- end -}}
{{- end -}}
