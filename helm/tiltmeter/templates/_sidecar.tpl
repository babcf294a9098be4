{{- /*
What a pod needs to carry the sidecar. A chart that has this one as a dependency includes them with `.Subcharts.tiltmeter`;
everybody else takes the same from the ConfigMap RELEASE-patch.
*/ -}}
{{- define "tiltmeter.sidecar.of" -}}
{{- $single := include "tiltmeter.single" . -}}
{{- toJson (dict "role" (ternary "all" "worker" (eq $single "true")) "suffix" "sidecar" "prefix" "tiltmeter-" "port" "tiltmeter" "sidecar" true "resources" .Values.sidecar.resources) -}}
{{- end -}}

{{- define "tiltmeter.sidecar.config" -}}
{{- include "tiltmeter.config" (set (include "tiltmeter.sidecar.of" . | fromJson) "root" .) -}}
{{- end -}}

{{- define "tiltmeter.sidecar.initContainers" -}}
{{- $of := set (include "tiltmeter.sidecar.of" . | fromJson) "root" . -}}
{{- with include "tiltmeter.bundleSteps" $of | trim }}
{{- . }}
{{ end }}
{{- include "tiltmeter.container" $of }}
{{- end -}}

{{- define "tiltmeter.sidecar.volumes" -}}
{{- include "tiltmeter.volumes" (set (include "tiltmeter.sidecar.of" . | fromJson) "root" .) -}}
{{- end -}}

{{- define "tiltmeter.sidecar.annotations" -}}
checksum/tiltmeter: {{ include "tiltmeter.sidecar.config" . | sha256sum }}
{{- end -}}
