{{- /* Secrets as environment, of one role. */ -}}
{{- define "tiltmeter.secret" -}}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ .key }}}}
{{- end -}}

{{- define "tiltmeter.env" -}}
{{- $values := .root.Values -}}
{{- $secrets := $values.secrets -}}
{{- if or .sidecar (ne .role "all") }}
# A container that is restarted takes its own place in the ledger again. Alone at a SQLite ledger it does so anyway.
- name: TILTMETER_INSTANCE
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}
{{- if .sidecar }}
{{- range list "OMP_NUM_THREADS" "OPENBLAS_NUM_THREADS" "RAYON_NUM_THREADS" }}
- {name: {{ . }}, value: {{ $values.sidecar.threads | quote }}}
{{- end }}
# A thread without work sleeps: the cores are the model server's.
- {name: OMP_WAIT_POLICY, value: PASSIVE}
{{- end }}
{{- with $secrets.token }}{{ if .existingSecret }}
{{ include "tiltmeter.secret" (dict "name" "TILTMETER_TOKEN" "secret" .existingSecret "key" .key) }}
{{- end }}{{ end }}
{{- with $secrets.kafka }}{{ if .existingSecret }}
{{ include "tiltmeter.secret" (dict "name" "TILTMETER_KAFKA_PASSWORD" "secret" .existingSecret "key" .key) }}
{{- end }}{{ end }}
{{- with $secrets.kafkaTls }}{{ if and .existingSecret .certKeyPassword }}
{{ include "tiltmeter.secret" (dict "name" "TILTMETER_KAFKA_KEY_PASSWORD" "secret" .existingSecret "key" .certKeyPassword) }}
{{- end }}{{ end }}
{{- with $secrets.ledger }}{{ if .existingSecret }}
{{ include "tiltmeter.secret" (dict "name" "TILTMETER_LEDGER_PASSWORD" "secret" .existingSecret "key" .key) }}
{{- end }}{{ end }}
{{- $databases := include "tiltmeter.databases" .root | fromJson }}
{{- $store := ternary $secrets.store $secrets.ledger (or (ne $secrets.store.existingSecret "") (ne $databases.store (default "" $databases.ledger.url))) }}
{{- with $store }}{{ if .existingSecret }}
{{ include "tiltmeter.secret" (dict "name" "TILTMETER_STORE_PASSWORD" "secret" .existingSecret "key" .key) }}
{{- end }}{{ end }}
{{- with $secrets.canary }}{{ if .existingSecret }}
{{ include "tiltmeter.secret" (dict "name" "TILTMETER_CANARY_KEY" "secret" .existingSecret "key" .key) }}
{{- end }}{{ end }}
{{- with $values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* True for the roles that ask probes. */ -}}
{{- define "tiltmeter.asks" -}}
{{- if ne .role "worker" -}}true{{- end -}}
{{- end -}}

{{- define "tiltmeter.hasBundles" -}}
{{- with .Values.bundles -}}
{{- if or .existingClaim .image.reference .fetch.command .volume -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tiltmeter.hasProbeFiles" -}}
{{- if and (include "tiltmeter.asks" .) (or .root.Values.probes.files .root.Values.probes.existingConfigMap) -}}true{{- end -}}
{{- end -}}

{{- /* The init steps that bring bundles and check them; a digest that is another one ends the step, and the pod does not start. */ -}}
{{- define "tiltmeter.bundleSteps" -}}
{{- $values := .root.Values -}}
{{- if $values.bundles.fetch.command }}
- name: {{ .prefix }}fetch-bundles
  image: {{ $values.bundles.fetch.image }}
  command:
    {{- toYaml $values.bundles.fetch.command | nindent 4 }}
  {{- with $values.bundles.fetch.env }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml $values.securityContext | nindent 4 }}
  {{- with .resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - {name: {{ .prefix }}bundles, mountPath: {{ $values.bundles.mountPath }}}
    - {name: {{ .prefix }}tmp, mountPath: /tmp}
{{- end }}
{{- if $values.bundles.digests }}
- name: {{ .prefix }}check-bundles
  image: {{ include "tiltmeter.image" (dict "root" .root "gpu" false) }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  args:
    - bundle
    - verify
    {{- range $folder, $digest := $values.bundles.digests }}
    - {{ printf "%s/%s=%s" $values.bundles.mountPath $folder $digest }}
    {{- end }}
  securityContext:
    {{- toYaml $values.securityContext | nindent 4 }}
  {{- with .resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - {name: {{ .prefix }}bundles, mountPath: {{ $values.bundles.mountPath }}, readOnly: true}
    - {name: {{ .prefix }}tmp, mountPath: /tmp}
{{- end }}
{{- end -}}

{{- /* The service's container. */ -}}
{{- define "tiltmeter.container" -}}
{{- $values := .root.Values -}}
{{- $gpu := and $values.gpu.enabled (ne .role "decider") -}}
- name: tiltmeter
  image: {{ include "tiltmeter.image" (dict "root" .root "gpu" $gpu) }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  {{- if .sidecar }}
  # Starts before the model server, ends after it, and holds up neither: no startup probe and no readiness probe.
  restartPolicy: Always
  {{- end }}
  args: [run, --config, /etc/tiltmeter/config.yaml, --role, {{ .role }}]
  securityContext:
    {{- toYaml $values.securityContext | nindent 4 }}
  {{- with include "tiltmeter.env" . | trim }}
  env:
    {{- . | nindent 4 }}
  {{- end }}
  {{- if or $values.extraEnvFrom (and (include "tiltmeter.asks" .) $values.probes.existingSecret) }}
  envFrom:
    {{- if and (include "tiltmeter.asks" .) $values.probes.existingSecret }}
    - secretRef: {name: {{ $values.probes.existingSecret }}}
    {{- end }}
    {{- with $values.extraEnvFrom }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
  ports:
    - {name: {{ .port }}, containerPort: {{ ternary $values.sidecar.port 9108 .sidecar }}, protocol: TCP}
  {{- if .sidecar }}
  livenessProbe:
    httpGet: {path: /healthz, port: {{ .port }}}
    {{- toYaml $values.sidecar.livenessProbe | nindent 4 }}
  {{- else }}
  startupProbe:
    httpGet: {path: /healthz, port: {{ .port }}}
    {{- toYaml $values.startupProbe | nindent 4 }}
  livenessProbe:
    httpGet: {path: /healthz, port: {{ .port }}}
    {{- toYaml $values.livenessProbe | nindent 4 }}
  readinessProbe:
    httpGet: {path: /readyz, port: {{ .port }}}
    {{- toYaml $values.readinessProbe | nindent 4 }}
  {{- if eq $values.config.source.kind "http" }}
  # Whoever posts is sent elsewhere before the port closes.
  lifecycle: {preStop: {exec: {command: [sleep, "5"]}}}
  {{- end }}
  {{- end }}
  {{- $resources := deepCopy .resources }}
  {{- if $gpu }}
  {{- $resources = merge $resources (dict "limits" (dict $values.gpu.resource $values.gpu.count)) }}
  {{- end }}
  {{- with $resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - {name: {{ .prefix }}config, mountPath: /etc/tiltmeter, readOnly: true}
    - {name: {{ .prefix }}state, mountPath: {{ include "tiltmeter.state" . }}}
    - {name: {{ .prefix }}tmp, mountPath: /tmp}
    {{- if include "tiltmeter.hasBundles" .root }}
    - {name: {{ .prefix }}bundles, mountPath: {{ $values.bundles.mountPath }}, readOnly: true}
    {{- end }}
    {{- if $values.secrets.kafkaTls.existingSecret }}
    - {name: {{ .prefix }}kafka-tls, mountPath: {{ include "tiltmeter.tls" . }}, readOnly: true}
    {{- end }}
    {{- if include "tiltmeter.hasProbeFiles" . }}
    - {name: {{ .prefix }}probes, mountPath: {{ include "tiltmeter.probeFiles" . }}, readOnly: true}
    {{- end }}
    {{- with $values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "tiltmeter.volumes" -}}
{{- $values := .root.Values -}}
- name: {{ .prefix }}config
  configMap: {name: {{ include "tiltmeter.part" (dict "root" .root "suffix" .suffix) }}}
- name: {{ .prefix }}state
{{- if .sidecar }}
  emptyDir: {sizeLimit: {{ $values.sidecar.state.volumeMiB }}Mi}
{{- else if and $values.persistence.enabled (ne .role "worker") }}
  persistentVolumeClaim: {claimName: {{ default (include "tiltmeter.fullname" .root) $values.persistence.existingClaim }}}
{{- else }}
  emptyDir: {}
{{- end }}
- name: {{ .prefix }}tmp
{{- if .sidecar }}
  # In memory a full volume is an error of ours; on disk it would cost the pod.
  emptyDir: {medium: Memory, sizeLimit: 16Mi}
{{- else }}
  emptyDir: {}
{{- end }}
{{- if include "tiltmeter.hasBundles" .root }}
- name: {{ .prefix }}bundles
  {{- with $values.bundles }}
  {{- if .fetch.command }}
  emptyDir: {sizeLimit: {{ .fetch.sizeLimit }}}
  {{- else if .existingClaim }}
  persistentVolumeClaim: {claimName: {{ .existingClaim }}, readOnly: true}
  {{- else if .image.reference }}
  image: {reference: {{ .image.reference }}, pullPolicy: {{ .image.pullPolicy }}}
  {{- else }}
  {{- toYaml .volume | nindent 2 }}
  {{- end }}
  {{- end }}
{{- end }}
{{- with $values.secrets.kafkaTls.existingSecret }}
- name: {{ $.prefix }}kafka-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- if include "tiltmeter.hasProbeFiles" . }}
- name: {{ .prefix }}probes
  projected:
    sources:
      {{- if $values.probes.files }}
      - configMap: {name: {{ include "tiltmeter.part" (dict "root" .root "suffix" "probes") }}}
      {{- end }}
      {{- with $values.probes.existingConfigMap }}
      - configMap: {name: {{ . }}}
      {{- end }}
{{- end }}
{{- with $values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
