{{/*
Pods and their Deployments. All take dict "root" $ "component" "serve"; parts of pod specs are YAML at column 0.
*/}}

{{/* heliograph.placement: on which nodes pods run, and how soon they leave one that went silent. */}}
{{- define "heliograph.placement" -}}
{{- $given := index .root.Values .component -}}
{{- with $given.nodeSelector -}}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{ end -}}
tolerations:
  {{- range list "not-ready" "unreachable" }}
  - key: node.kubernetes.io/{{ . }}
    operator: Exists
    effect: NoExecute
    tolerationSeconds: {{ int $given.nodeFailureSeconds }}
  {{- end }}
  {{- with $given.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $given.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $given.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{/*
heliograph.spread: pods prefer zones and nodes that have fewer of them. Only the pods of one version are counted: those of
the version that is being replaced will go.
*/}}
{{- define "heliograph.spread" -}}
{{- $labels := . -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "heliograph.selectorLabels" $labels | nindent 8 }}
  {{- end }}
{{- end -}}

{{/* heliograph.account: whose rights the pods have, and whether they can use them. */}}
{{- define "heliograph.account" -}}
{{- if eq .component "gateway" -}}
serviceAccountName: {{ include "heliograph.gatewayAccountName" .root | quote }}
automountServiceAccountToken: {{ not (empty (include "heliograph.hasFleet" .root)) }}
{{- else -}}
serviceAccountName: {{ include "heliograph.serviceAccountName" .root | quote }}
automountServiceAccountToken: false
{{- end -}}
{{- end -}}

{{/* heliograph.variables: environment of the container, besides that of the ConfigMap. */}}
{{- define "heliograph.variables" -}}
{{- $root := .root -}}
- name: HELIOGRAPH_THREADS
  valueFrom:
    resourceFieldRef:
      containerName: heliograph
      resource: requests.cpu
      divisor: "1"
{{- if and (eq $root.Values.mode "queue") (include "heliograph.passwordSecret" $root) }}
- name: HELIOGRAPH_REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "heliograph.passwordSecret" $root | quote }}
      key: {{ include "heliograph.passwordKey" $root | quote }}
{{- end }}
{{- if and (eq .component "gateway") (include "heliograph.hasFleet" $root) }}
{{- $workers := dict "root" $root "component" "worker" }}
- name: HELIOGRAPH_FLEET_SELECTOR
  value: {{ include "heliograph.selector" $workers | quote }}
- name: HELIOGRAPH_FLEET_SCALER
  value: {{ include "heliograph.scaler" $workers | quote }}
- name: HELIOGRAPH_FLEET_ACTIONS
  value: {{ $root.Values.fleet.actions | quote }}
{{- end }}
{{- with (index $root.Values .component).extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* heliograph.scaler: the object that says how many pods a component has, as the gateway names it. */}}
{{- define "heliograph.scaler" -}}
{{- $kind := "deployment" -}}
{{- if include "heliograph.hasKeda" . -}}
{{- $kind = "scaledobject" -}}
{{- else if (index .root.Values .component).autoscaling.enabled -}}
{{- $kind = "hpa" -}}
{{- end -}}
{{- printf "%s/%s" $kind (include "heliograph.componentName" .) -}}
{{- end -}}

{{/*
heliograph.deployment: the whole object.
*/}}
{{- define "heliograph.deployment" -}}
{{- $root := .root -}}
{{- $given := index $root.Values .component -}}
{{- $front := eq .component (include "heliograph.front" $root) -}}
{{- $keys := and $front (eq (include "heliograph.authentication" $root) "keys") -}}
{{- $blobs := and (eq $root.Values.mode "queue") $root.Values.queue.blobs.enabled -}}
{{- $replicas := include "heliograph.replicas" . -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "heliograph.componentName" . }}
  labels:
    {{- include "heliograph.labels" . | nindent 4 }}
  {{- if or $replicas $given.annotations }}
  annotations:
    {{- if $replicas }}
    {{ include "heliograph.valuesAnnotation" . }}: {{ include "heliograph.replicasByValues" . | quote }}
    {{- end }}
    {{- with $given.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
spec:
  {{- if $replicas }}
  replicas: {{ $replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    {{- if eq $given.updateStrategy.type "Recreate" }}
    type: Recreate
    {{- else }}
    {{- toYaml $given.updateStrategy | nindent 4 }}
    {{- end }}
  selector:
    matchLabels:
      {{- include "heliograph.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "heliograph.podLabels" . | nindent 8 }}
        {{- with $given.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        kubectl.kubernetes.io/default-container: heliograph
        checksum/settings: {{ include "heliograph.environment" $root | sha256sum }}
        {{- if and $front $root.Values.auth.keys }}
        checksum/keys: {{ include "heliograph.keys" $root | sha256sum }}
        {{- end }}
        {{- with include "heliograph.passwordChecksum" $root }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with $given.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "heliograph.account" . | nindent 6 }}
      # A Service named heliograph would set HELIOGRAPH_PORT=tcp://… in every pod, which is not a port to listen on.
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ include "heliograph.stopSeconds" . }}
      securityContext:
        {{- toYaml $given.podSecurityContext | nindent 8 }}
      {{- with $root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- include "heliograph.placement" . | nindent 6 }}
      {{- if $given.topologySpread.enabled }}
      {{- include "heliograph.spread" . | nindent 6 }}
      {{- end }}
      {{- with $given.initContainers }}
      initContainers:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: heliograph
          image: {{ include "heliograph.image" $root | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [{{ .component }}]
          ports:
            {{- if $front }}
            - {name: http, containerPort: 8000, protocol: TCP}
            {{- end }}
            - {name: ops, containerPort: 8001, protocol: TCP}
          envFrom:
            - configMapRef:
                name: {{ include "heliograph.fullname" $root }}-settings
            {{- with $given.extraEnvFrom }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          env:
            {{- include "heliograph.variables" . | nindent 12 }}
          startupProbe:
            httpGet: {path: /startupz, port: ops}
            {{- toYaml $given.probes.startup | nindent 12 }}
          readinessProbe:
            httpGet: {path: /readyz, port: ops}
            {{- toYaml $given.probes.readiness | nindent 12 }}
          livenessProbe:
            httpGet: {path: /livez, port: ops}
            {{- toYaml $given.probes.liveness | nindent 12 }}
          resources:
            {{- toYaml $given.resources | nindent 12 }}
          securityContext:
            {{- toYaml $given.securityContext | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- if $root.Values.models.volume }}
            - {name: models, mountPath: /models, readOnly: true}
            {{- end }}
            {{- if $blobs }}
            - {name: blobs, mountPath: /blobs}
            {{- end }}
            {{- if $keys }}
            - {name: keys, mountPath: /etc/heliograph/keys, readOnly: true}
            {{- end }}
            {{- with $given.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
        {{- with $given.extraContainers }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      volumes:
        - name: tmp
          emptyDir:
            sizeLimit: {{ $given.tmpSizeLimit | quote }}
        {{- with $root.Values.models.volume }}
        - name: models
          {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- if $blobs }}
        - name: blobs
          persistentVolumeClaim:
            claimName: {{ include "heliograph.blobsClaim" $root | quote }}
        {{- end }}
        {{- if $keys }}
        - name: keys
          secret:
            secretName: {{ include "heliograph.keysSecret" $root | quote }}
            defaultMode: 0440
        {{- end }}
        {{- with $given.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}
