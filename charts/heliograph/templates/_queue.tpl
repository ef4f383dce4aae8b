{{/*
The queue: its server, the password for it, the folder of large payloads. All take the root context.
*/}}

{{/* heliograph.hasValkey: `true` where the chart runs the queue's server. */}}
{{- define "heliograph.hasValkey" -}}
{{- if and (eq .Values.mode "queue") (not .Values.queue.url) -}}true{{- end -}}
{{- end -}}

{{/* heliograph.queueUrl: the server, without its password. */}}
{{- define "heliograph.queueUrl" -}}
{{- $own := printf "redis://%s:6379/0" (include "heliograph.componentName" (dict "root" . "component" "valkey")) -}}
{{- default $own .Values.queue.url -}}
{{- end -}}

{{/* heliograph.queueAddress: host and port of a server of yours. */}}
{{- define "heliograph.queueAddress" -}}
{{- $host := (urlParse .Values.queue.url).host -}}
{{- ternary $host (printf "%s:6379" $host) (regexMatch ":[0-9]+$" $host) -}}
{{- end -}}

{{/* heliograph.queueName: the queue's name on its server. */}}
{{- define "heliograph.queueName" -}}
{{- default "default" .Values.settings.queue -}}
{{- end -}}

{{/* heliograph.passwordSecret: the Secret with the password; empty if the server asks for none. */}}
{{- define "heliograph.passwordSecret" -}}
{{- if .Values.queue.existingSecret -}}
{{- .Values.queue.existingSecret -}}
{{- else if include "heliograph.hasValkey" . -}}
{{- include "heliograph.componentName" (dict "root" . "component" "valkey") -}}
{{- end -}}
{{- end -}}

{{/* heliograph.passwordKey: the key in that Secret. */}}
{{- define "heliograph.passwordKey" -}}
{{- if .Values.queue.existingSecret }}{{ .Values.queue.existingSecretKey }}{{ else }}password{{ end -}}
{{- end -}}

{{/*
heliograph.password: the password of the chart's own Secret, base64: the live one, else a new one, the same wherever it is
included.
*/}}
{{- define "heliograph.password" -}}
{{- if not (hasKey .Values.valkey "password") -}}
{{- $live := lookup "v1" "Secret" .Release.Namespace (include "heliograph.passwordSecret" .) -}}
{{- $_ := set .Values.valkey "password" (dig "data" "password" (randAlphaNum 32 | b64enc) (default dict $live)) -}}
{{- end -}}
{{- .Values.valkey.password -}}
{{- end -}}

{{/* heliograph.passwordChecksum: an annotation of pods, which start anew with a new password; empty where it is not ours. */}}
{{- define "heliograph.passwordChecksum" -}}
{{- if and (include "heliograph.hasValkey" .) (not .Values.queue.existingSecret) -}}
checksum/password: {{ include "heliograph.password" . | sha256sum }}
{{- end -}}
{{- end -}}

{{/* heliograph.blobsClaim: the claim of the folder for large payloads. */}}
{{- define "heliograph.blobsClaim" -}}
{{- default (printf "%s-blobs" (include "heliograph.fullname" .)) .Values.queue.blobs.existingClaim -}}
{{- end -}}

{{/* heliograph.valkeyImage: the image with the program valkey-server; Heliograph's own has it. */}}
{{- define "heliograph.valkeyImage" -}}
{{- with .Values.valkey.image -}}
{{- if and .repository .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else if .repository -}}
{{- printf "%s:%s" .repository (toString .tag) -}}
{{- else -}}
{{- include "heliograph.image" $ -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* heliograph.liveValkey: the server's StatefulSet as it is, as YAML; empty without one. */}}
{{- define "heliograph.liveValkey" -}}
{{- with lookup "apps/v1" "StatefulSet" .Release.Namespace (include "heliograph.componentName" (dict "root" . "component" "valkey")) -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* heliograph.valkeyVolume: size and class of the server's claim, as YAML: of the live one, since they cannot be changed. */}}
{{- define "heliograph.valkeyVolume" -}}
{{- $live := include "heliograph.liveValkey" . | fromYaml -}}
{{- $volume := dict "size" .Values.valkey.persistence.size "storageClass" .Values.valkey.persistence.storageClass -}}
{{- if $live -}}
{{- with (first $live.spec.volumeClaimTemplates).spec -}}
{{- $volume = dict "size" .resources.requests.storage "storageClass" (default "" .storageClassName) -}}
{{- end -}}
{{- end -}}
{{- toYaml $volume -}}
{{- end -}}

{{/* heliograph.valkeySettings: the server's configuration. */}}
{{- define "heliograph.valkeySettings" -}}
bind * -::*
port 6379
dir /data
appendonly yes
appendfsync {{ .Values.valkey.appendfsync }}
save ""
maxmemory {{ int .Values.valkey.maxMemoryMegabytes }}mb
maxmemory-policy noeviction
{{- end -}}

{{/* heliograph.valkeyResources: what was given, and memory by `maxMemoryMegabytes`: rewriting the log takes a copy. */}}
{{- define "heliograph.valkeyResources" -}}
{{- with .Values.valkey -}}
{{- $most := int .maxMemoryMegabytes -}}
{{- $memory := dict "requests" (dict "memory" (printf "%dMi" (add $most 64))) "limits" (dict "memory" (printf "%dMi" (add (mul $most 2) 64))) -}}
{{- toYaml (mergeOverwrite $memory (deepCopy .resources)) -}}
{{- end -}}
{{- end -}}
