{{- define "pushbridge.name" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "pushbridge.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "pushbridge.labels" -}}
{{ include "pushbridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: {{ .Values.mode }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "pushbridge.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end }}

{{/* The configuration: what the chart knows, with what `config` says over it. */}}
{{- define "pushbridge.config" -}}
{{- $listeners := dict "probes" (dict "address" (printf "0.0.0.0:%d" (int .Values.listeners.probes))) -}}
{{- range $name, $port := dict "hub_api" .Values.listeners.hubApi "intake" .Values.listeners.intake -}}
{{- if $port -}}
{{- $listener := dict "address" (printf "0.0.0.0:%d" (int $port)) -}}
{{- if $.Values.tlsSecret -}}
{{- $_ := set $listener "tls" (dict "cert" "/run/secrets/tls/tls.crt" "key" "/run/secrets/tls/tls.key") -}}
{{- end -}}
{{- $_ := set $listeners $name $listener -}}
{{- end -}}
{{- end -}}
{{- $store := dict "url" "sqlite:////var/lib/pushbridge/pushbridge.db" -}}
{{- if eq .Values.mode "fleet" -}}
{{- $store = dict "url" (required "fleet.url names the database: postgresql://user@host:5432/database" .Values.fleet.url) -}}
{{- $_ := set $store "password_file" (printf "/run/secrets/pushbridge/%s" .Values.fleet.passwordKey) -}}
{{- include "pushbridge.databaseTls" (dict "store" $store "fleet" .Values.fleet) -}}
{{- end -}}
{{- $bridge := dict "name" (include "pushbridge.name" .) "store" $store -}}
{{- toYaml (mergeOverwrite (dict "bridge" $bridge "listeners" $listeners) (deepCopy .Values.config)) -}}
{{- end }}

{{/* Sets `tls` of a store over the network; prints nothing. */}}
{{- define "pushbridge.databaseTls" -}}
{{- if .fleet.tls -}}
{{- $tls := dict -}}
{{- if .fleet.caKey -}}
{{- $_ := set $tls "ca_file" (printf "/run/secrets/pushbridge/%s" .fleet.caKey) -}}
{{- end -}}
{{- $_ := set .store "tls" $tls -}}
{{- end -}}
{{- end }}

{{- define "pushbridge.ports" -}}
- { name: probes, containerPort: {{ .Values.listeners.probes }} }
{{- if .Values.listeners.hubApi }}
- { name: hub-api, containerPort: {{ .Values.listeners.hubApi }} }
{{- end }}
{{- if .Values.listeners.intake }}
- { name: intake, containerPort: {{ .Values.listeners.intake }} }
{{- end }}
{{- end }}

{{/* The container, for each of the three modes. */}}
{{- define "pushbridge.container" -}}
name: pushbridge
image: {{ include "pushbridge.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [run, /etc/pushbridge]
{{- with .Values.env }}
env:
{{- range $name, $value := . }}
  - { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end }}
ports: {{- include "pushbridge.ports" . | nindent 2 }}
startupProbe: # the schema of a large database may take minutes to bring up to date
  httpGet: { path: /startupz, port: probes }
  periodSeconds: 2
  failureThreshold: 150
livenessProbe:
  httpGet: { path: /livez, port: probes }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readyz, port: probes }
  periodSeconds: 5
  timeoutSeconds: 5
resources: {{- toYaml .Values.resources | nindent 2 }}
securityContext: {{- include "pushbridge.containerSecurity" . | nindent 2 }}
volumeMounts:
  - { name: config, mountPath: /etc/pushbridge, readOnly: true }
{{- if .Values.secret }}
  - { name: secret, mountPath: /run/secrets/pushbridge, readOnly: true }
{{- end }}
{{- if .Values.tlsSecret }}
  - { name: tls, mountPath: /run/secrets/tls, readOnly: true }
{{- end }}
  - { name: data, mountPath: /var/lib/pushbridge }
  - { name: tmp, mountPath: /tmp }
{{- end }}

{{- define "pushbridge.pod" -}}
serviceAccountName: {{ include "pushbridge.name" . }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
securityContext: {{- include "pushbridge.podSecurity" . | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "pushbridge.volumes" -}}
- { name: config, configMap: { name: {{ include "pushbridge.name" . }} } }
{{- if .Values.secret }}
- { name: secret, secret: { secretName: {{ .Values.secret }}, defaultMode: 288 } } # 0440
{{- end }}
{{- if .Values.tlsSecret }}
- { name: tls, secret: { secretName: {{ .Values.tlsSecret }}, defaultMode: 288 } }
{{- end }}
- { name: tmp, emptyDir: { sizeLimit: 64Mi } }
{{- end }}

{{- define "pushbridge.podMetadata" -}}
labels: {{- include "pushbridge.labels" . | nindent 2 }}
{{- with .Values.podLabels }}{{ toYaml . | nindent 2 }}{{- end }}
annotations:
  prometheus.io/scrape: "true"
  prometheus.io/port: {{ .Values.listeners.probes | quote }}
{{- with .Values.podAnnotations }}{{ toYaml . | nindent 2 }}{{- end }}
{{- end }}

{{- define "pushbridge.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "pushbridge.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}
