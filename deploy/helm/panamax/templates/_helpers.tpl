{{- define "panamax.name" -}}
{{- printf "%s-panamax" .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "panamax.labels" -}}
app.kubernetes.io/name: panamax
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "panamax.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end -}}
{{- end }}

{{- define "panamax.store" -}}
s3://{{ required "store.bucket has to be set" .Values.store.bucket }}{{ with .Values.store.prefix }}/{{ trimSuffix "/" . }}{{ end }}
{{- end }}

{{/* Prefix of the keys in Redis: a hash of the store's name, lib/queue/names.ts */}}
{{- define "panamax.prefix" -}}
{{- $name := printf "s3://%s/" .Values.store.bucket }}
{{- with .Values.store.prefix }}{{ $name = printf "%s%s/" $name (trimSuffix "/" .) }}{{ end -}}
panamax:{{ sha256sum $name | trunc 16 }}
{{- end }}

{{- define "panamax.redisHost" -}}
{{- if .Values.redis.bundled.enabled -}}
{{ include "panamax.name" . }}-redis
{{- else -}}
{{ required "redis.host has to be set, or redis.bundled.enabled" .Values.redis.host }}
{{- end -}}
{{- end }}

{{- define "panamax.redisSecret" -}}
{{- if .Values.redis.bundled.enabled }}{{ include "panamax.name" . }}-redis{{ else }}{{ .Values.redis.existingSecret }}{{ end }}
{{- end }}

{{- define "panamax.s3Secret" -}}
{{- if .Values.s3.bundled.enabled }}{{ include "panamax.name" . }}-s3{{ else }}{{ .Values.s3.existingSecret }}{{ end }}
{{- end }}

{{- define "panamax.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "panamax.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* Access to the store and to Redis, for all parts. */}}
{{- define "panamax.env" -}}
- { name: PANAMAX_STORE, value: {{ include "panamax.store" . | quote }} }
- { name: PANAMAX_LOG_LEVEL, value: {{ .Values.logLevel | quote }} }
{{- if include "panamax.redisSecret" . }}
- name: REDIS_PASSWORD
  valueFrom: { secretKeyRef: { name: {{ include "panamax.redisSecret" . }}, key: password } }
{{- end }}
{{- if ne .Values.redis.username "default" }}
- { name: REDIS_USERNAME, value: {{ .Values.redis.username | quote }} }
{{- end }}
- name: REDIS_URL
  value: {{ printf "%s://%s%s:%v" (ternary "rediss" "redis" .Values.redis.tls) (ternary (printf "%s:$(REDIS_PASSWORD)@" .Values.redis.username) "" (ne (include "panamax.redisSecret" .) "")) (include "panamax.redisHost" .) .Values.redis.port | quote }}
{{- if .Values.s3.bundled.enabled }}
- { name: S3_ENDPOINT, value: {{ printf "http://%s-s3:7070" (include "panamax.name" .) | quote }} }
{{- else if .Values.s3.endpoint }}
- { name: S3_ENDPOINT, value: {{ .Values.s3.endpoint | quote }} }
{{- end }}
{{- with .Values.s3.region }}
- { name: S3_REGION, value: {{ . | quote }} }
{{- end }}
{{- if include "panamax.s3Secret" . }}
- name: S3_ACCESS_KEY
  valueFrom: { secretKeyRef: { name: {{ include "panamax.s3Secret" . }}, key: access-key } }
- name: S3_SECRET_KEY
  valueFrom: { secretKeyRef: { name: {{ include "panamax.s3Secret" . }}, key: secret-key } }
{{- end }}
{{- if .Values.registryCredentials }}
- { name: REGISTRY_AUTH_FILE, value: /credentials/config.json }
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "panamax.pod" -}}
serviceAccountName: {{ include "panamax.name" . }}
automountServiceAccountToken: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext: {{ include "panamax.podSecurity" . | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}
