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

{{- /* Names of objects take a suffix of at most 16 characters: what stands before it is cut so that it fits. */ -}}
{{- define "tiltmeter.part" -}}
{{- $name := include "tiltmeter.fullname" .root -}}
{{- if .suffix -}}{{ printf "%s-%s" ($name | trunc 46 | trimSuffix "-") .suffix }}{{- else -}}{{ $name }}{{- end -}}
{{- end -}}

{{- /* Of one role: labels by which its pods are found. */ -}}
{{- define "tiltmeter.selector" -}}
app.kubernetes.io/name: {{ include "tiltmeter.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "tiltmeter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "tiltmeter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: tiltmeter
{{- end -}}

{{- define "tiltmeter.metadata" -}}
name: {{ default (include "tiltmeter.part" (dict "root" .root "suffix" .suffix)) .name }}
namespace: {{ default .root.Release.Namespace .namespace }}
labels:
  {{- include "tiltmeter.labels" .root | nindent 2 }}
  {{- with .role }}
  app.kubernetes.io/component: {{ . }}
  {{- end }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "tiltmeter.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tiltmeter.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* cpu image, or the gpu one for a role that scores on a GPU. */ -}}
{{- define "tiltmeter.image" -}}
{{- $values := .root.Values -}}
{{- $name := $values.image.repository -}}
{{- with $values.image.registry -}}{{- $name = printf "%s/%s" . $name -}}{{- end -}}
{{- $digest := ternary $values.gpu.image.digest $values.image.digest .gpu -}}
{{- $tag := ternary $values.gpu.image.tag $values.image.tag .gpu -}}
{{- if $digest -}}
{{- printf "%s@%s" $name $digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default (printf "%s-%s" .root.Chart.AppVersion (ternary "gpu" "cpu" .gpu)) $tag) -}}
{{- end -}}
{{- end -}}

{{- /* Roles that are Deployments here. With a SQLite ledger one process is all of it; beside the model server none is left. */ -}}
{{- define "tiltmeter.roles" -}}
{{- $roles := list -}}
{{- if eq .Values.mode "sidecar" -}}
{{- if not (include "tiltmeter.single" .) -}}{{- $roles = list "decider" -}}{{- end -}}
{{- else if include "tiltmeter.single" . -}}
{{- $roles = list "all" -}}
{{- else -}}
{{- $roles = list "worker" "decider" -}}
{{- end -}}
{{- $roles | toJson -}}
{{- end -}}

{{- /* Suffix of a role's objects: the ones that prompts and people come to first have none. */ -}}
{{- define "tiltmeter.suffix" -}}
{{- ternary "" . (eq . "all") -}}
{{- end -}}
