{{- /*
What the schema cannot say: mistakes in how values go together. All of them are told at once; each names the value and what is expected.
*/ -}}
{{- define "tiltmeter.checks" -}}
{{- $found := list -}}
{{- range list "models" "replicas" "secrets" "bundles" "probes" "monitors" "platform" -}}
{{- with include (printf "tiltmeter.checks.%s" .) $ | trim -}}{{- $found = append $found . -}}{{- end -}}
{{- end -}}
{{- if $found -}}{{- fail (printf "\n%s" (join "\n" $found)) -}}{{- end -}}
{{- end -}}

{{- define "tiltmeter.checks.models" -}}
{{- if not .Values.config.models }}
config.models names no model: give at least one, as config.models.support-bot.bundle=/bundles/support-bot
{{- end }}
{{- if and (eq .Values.mode "sidecar") (ne .Values.config.source.kind "http") }}
config.source.kind: a sidecar takes prompts over HTTP from its own pod; expected http
{{- end }}
{{- end -}}

{{- define "tiltmeter.checks.replicas" -}}
{{- $shared := "needs a ledger that many processes may share: config.ledger.kind kafka, or sql with a postgresql url" }}
{{- if include "tiltmeter.single" . }}
{{- if and (eq .Values.mode "sidecar") (gt (int .Values.sidecar.replicas) 1) }}
sidecar.replicas above 1 {{ $shared }}
{{- else if and (eq .Values.mode "deployment") (gt (int .Values.worker.replicas) 1) }}
worker.replicas above 1 {{ $shared }}
{{- end }}
{{- if and (eq .Values.mode "sidecar") (ge (int .Values.sidecar.state.ledgerMiB) (int .Values.sidecar.state.volumeMiB)) }}
sidecar.state.ledgerMiB: expected less than sidecar.state.volumeMiB, which the history shares; a volume that is full costs the whole pod
{{- end }}
{{- else }}
{{- $databases := include "tiltmeter.databases" . | fromJson }}
{{- if hasPrefix "sqlite" $databases.store }}
{{- if and .Values.persistence.enabled (gt (int .Values.decider.replicas) 1) }}
persistence.enabled: a claim with a SQLite history is for one decider; expected decider.replicas 1, or config.store with a postgresql url
{{- end }}
{{- if eq (dig "curation" "store_text" "none" .Values.config) "redacted" }}
config.curation.store_text: workers keep the texts and deciders show them; expected config.store with a postgresql url
{{- end }}
{{- else if .Values.persistence.enabled }}
persistence.enabled: nothing is kept on a volume with this ledger and config.store; expected false
{{- end }}
{{- end }}
{{- end -}}

{{- define "tiltmeter.checks.secrets" -}}
{{- $more := or .Values.extraEnv .Values.extraEnvFrom }}
{{- $secrets := .Values.secrets }}
{{- if and (eq .Values.config.source.kind "http") (not $secrets.token.existingSecret) (not $more) (not (dig "http" "token_file" "" .Values.config)) }}
secrets.token.existingSecret: nothing may be posted without a token; expected a Secret with one
{{- end }}
{{- range $section := list "source" "ledger" }}
{{- $settings := default (dict) (get $.Values.config $section) }}
{{- if eq (default "" $settings.kind) "kafka" }}
{{- $options := default (dict) $settings.options }}
{{- $protocol := default (get $options "security.protocol") $options.security_protocol }}
{{- $mechanism := default (get $options "sasl.mechanism") $options.sasl_mechanism }}
{{- if and (has $mechanism (list "PLAIN" "SCRAM-SHA-256" "SCRAM-SHA-512")) (not $secrets.kafka.existingSecret) (not $more) (not $settings.password_file) }}
secrets.kafka.existingSecret: config.{{ $section }} asks for {{ $mechanism }}, which needs a password; expected a Secret with one
{{- end }}
{{- if and $secrets.kafkaTls.existingSecret (not (has $protocol (list "SSL" "SASL_SSL"))) }}
config.{{ $section }}.options.security_protocol: secrets.kafkaTls has certificates that would not be used; expected SSL or SASL_SSL
{{- end }}
{{- end }}
{{- end }}
{{- if and (not $secrets.kafkaTls.cert) (or $secrets.kafkaTls.certKey $secrets.kafkaTls.certKeyPassword) }}
secrets.kafkaTls.certKey: a key without a certificate; expected secrets.kafkaTls.cert beside it
{{- end }}
{{- end -}}

{{- define "tiltmeter.checks.bundles" -}}
{{- $bundles := .Values.bundles }}
{{- $sources := 0 }}
{{- range list $bundles.existingClaim $bundles.image.reference $bundles.fetch.command $bundles.volume }}{{ if . }}{{ $sources = add $sources 1 }}{{ end }}{{ end }}
{{- if gt (int $sources) 1 }}
bundles: expected one of existingClaim, image.reference, fetch.command and volume
{{- end }}
{{- if and (eq (int $sources) 0) (not .Values.extraVolumeMounts) }}
bundles: nothing brings the bundles that config.models names; expected one of existingClaim, image.reference, fetch.command and volume
{{- end }}
{{- if and $bundles.fetch.command (not $bundles.fetch.image) }}
bundles.fetch.image: expected the image in which bundles.fetch.command runs
{{- end }}
{{- if and $bundles.digests (eq (int $sources) 0) }}
bundles.digests: nothing is mounted at {{ $bundles.mountPath }} that could be checked
{{- end }}
{{- $used := list }}
{{- range $name, $model := .Values.config.models }}
{{- range $key, $path := pick $model "bundle" "shadow" }}
{{- if $path }}
{{- $used = append $used $path }}
{{- if and (gt (int $sources) 0) (not (hasPrefix (printf "%s/" $bundles.mountPath) $path)) (not $.Values.extraVolumeMounts) }}
config.models.{{ $name }}.{{ $key }}: {{ $path }} is not on a volume; expected a path below {{ $bundles.mountPath }}
{{- else if and $bundles.fetch.command (hasPrefix (printf "%s/" $bundles.mountPath) $path) (not (hasKey $bundles.digests (trimPrefix (printf "%s/" $bundles.mountPath) $path))) }}
bundles.digests.{{ trimPrefix (printf "%s/" $bundles.mountPath) $path }}: what is fetched is checked; expected the digest that `tiltmeter bundle show` prints
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $folder, $_ := $bundles.digests }}
{{- if not (has (printf "%s/%s" $bundles.mountPath $folder) $used) }}
bundles.digests.{{ $folder }}: no model has its bundle or shadow at {{ $bundles.mountPath }}/{{ $folder }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "tiltmeter.checks.probes" -}}
{{- $config := .Values.config }}
{{- $models := keys (default (dict) $config.models) | sortAlpha }}
{{- $keys := or .Values.probes.existingSecret .Values.extraEnv .Values.extraEnvFrom }}
{{- $live := false }}
{{- range $name, $target := default (dict) $config.targets }}
{{- if eq (default "live" $target.role) "live" }}{{ $live = true }}{{ end }}
{{- if not (has $target.monitors $models) }}
config.targets.{{ $name }}.monitors: no such model {{ $target.monitors | quote }}; expected one of {{ join ", " $models }}
{{- end }}
{{- if and $target.through_gateway (not $.Values.secrets.canary.existingSecret) (not (dig "probes" "tag_key_file" "" $config)) (not $.Values.extraEnv) (not $.Values.extraEnvFrom) }}
secrets.canary.existingSecret: config.targets.{{ $name }}.through_gateway needs a key that signs probes
{{- end }}
{{- end }}
{{- if and $config.targets (not $live) }}
config.targets: expected one of role live; the others are asked beside it
{{- end }}
{{- range $section := list "targets" "judges" }}
{{- range $name, $endpoint := default (dict) (get $config $section) }}
{{- if and $endpoint.key_env (not $keys) }}
probes.existingSecret: config.{{ $section }}.{{ $name }}.key_env names {{ $endpoint.key_env }}; expected a Secret with that key
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $gate := default (dict) $config.gates }}
{{- if not (has $gate.model $models) }}
config.gates.{{ $name }}.model: no such model {{ $gate.model | quote }}; expected one of {{ join ", " $models }}
{{- end }}
{{- end }}
{{- $folder := printf "%s/" (include "tiltmeter.probeFiles" .) }}
{{- $settings := default (dict) $config.probes }}
{{- $paths := concat (default (list) $settings.packs) (list (default "" $settings.golden)) }}
{{- range $name, $target := default (dict) $config.targets }}{{ $paths = append $paths (default "" $target.system_prompt_file) }}{{ end }}
{{- range $paths }}
{{- if and (hasPrefix $folder .) (not $.Values.probes.existingConfigMap) (not (hasKey $.Values.probes.files (trimPrefix $folder .))) }}
probes.files.{{ trimPrefix $folder . }}: config names {{ . }}; expected that file here, or in probes.existingConfigMap
{{- end }}
{{- end }}
{{- end -}}

{{- define "tiltmeter.checks.monitors" -}}
{{- if and (eq .Values.mode "deployment") .Values.podMonitor.enabled .Values.serviceMonitor.enabled }}
podMonitor.enabled: with serviceMonitor.enabled every pod would be scraped twice; expected one of them
{{- end }}
{{- if and (eq .Values.mode "sidecar") .Values.podMonitor.enabled (not .Values.sidecar.podLabels) }}
sidecar.podLabels: expected the labels of the pods that the sidecar stands in, for the PodMonitor
{{- end }}
{{- end -}}

{{- define "tiltmeter.checks.platform" -}}
{{- $version := .Capabilities.KubeVersion.Version }}
{{- if and (eq .Values.mode "sidecar") (semverCompare "<1.29-0" $version) }}
mode: a native sidecar needs Kubernetes 1.29 or later, this is {{ $version }}
{{- end }}
{{- if and .Values.bundles.image.reference (semverCompare "<1.31-0" $version) }}
bundles.image: an image volume needs Kubernetes 1.31 or later, this is {{ $version }}; expected existingClaim or fetch
{{- end }}
{{- end -}}
