{{- define "tiltmeter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "tiltmeter.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "tiltmeter.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "tiltmeter.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tiltmeter.selector" -}}
app.kubernetes.io/name: {{ include "tiltmeter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ .Values.role }}
{{- end -}}

{{- define "tiltmeter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "tiltmeter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: tiltmeter
{{- end -}}

{{- define "tiltmeter.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tiltmeter.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "tiltmeter.image" -}}
{{- $name := .Values.image.repository -}}
{{- if .Values.image.registry -}}{{- $name = printf "%s/%s" .Values.image.registry $name -}}{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default (printf "%s-%s" .Chart.AppVersion .Values.image.variant) .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* The file as the service reads it: the values, with the address and port that the Service expects. */ -}}
{{- define "tiltmeter.config" -}}
{{- if not .Values.config.models -}}
{{- fail "config.models names no model: give at least one, as config.models.support-bot.bundle=/bundles/support-bot" -}}
{{- end -}}
{{- $config := mustMergeOverwrite (deepCopy .Values.config) (dict "http" (dict "host" "0.0.0.0" "port" 9108)) -}}
{{- if not $config.ledger -}}{{- $_ := set $config "ledger" (dict "kind" "sql" "url" "sqlite:////var/lib/tiltmeter/ledger.db") -}}{{- end -}}
{{- if not $config.store -}}{{- $_ := set $config "store" "sqlite:////var/lib/tiltmeter/history.db" -}}{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- /* True where the ledger is one SQLite file, which one process may use at a time. */ -}}
{{- define "tiltmeter.single" -}}
{{- $ledger := default (dict) .Values.config.ledger -}}
{{- if and (ne (default "sql" $ledger.kind) "kafka") (hasPrefix "sqlite" (default "sqlite" $ledger.url)) -}}true{{- end -}}
{{- end -}}
