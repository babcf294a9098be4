{{- /* True where the ledger is one SQLite file, which one process may use at a time. */ -}}
{{- define "tiltmeter.single" -}}
{{- $ledger := default (dict) .Values.config.ledger -}}
{{- if and (ne (default "sql" $ledger.kind) "kafka") (hasPrefix "sqlite" (default "sqlite" $ledger.url)) -}}true{{- end -}}
{{- end -}}

{{- define "tiltmeter.state" -}}/var/lib/tiltmeter{{- end -}}
{{- define "tiltmeter.tls" -}}/etc/tiltmeter-tls{{- end -}}
{{- define "tiltmeter.probeFiles" -}}/etc/tiltmeter-probes{{- end -}}

{{- /* Ledger and history as they are used: with the files and the names of certificates that the chart knows. JSON. */ -}}
{{- define "tiltmeter.databases" -}}
{{- $config := deepCopy .Values.config -}}
{{- $ledger := default (dict) $config.ledger -}}
{{- if include "tiltmeter.single" . -}}
{{- $ledger = mergeOverwrite (dict "kind" "sql" "url" (printf "sqlite:///%s/ledger.db" (include "tiltmeter.state" .))) $ledger -}}
{{- if eq .Values.mode "sidecar" -}}
{{- $ledger = merge $ledger (dict "max_bytes" (mul .Values.sidecar.state.ledgerMiB 1048576)) -}}
{{- end -}}
{{- end -}}
{{- $store := $config.store -}}
{{- if not $store -}}
{{- $store = ternary $ledger.url (printf "sqlite:///%s/history.db" (include "tiltmeter.state" .)) (and (eq (default "sql" $ledger.kind) "sql") (not (include "tiltmeter.single" .))) -}}
{{- end -}}
{{- dict "ledger" $ledger "store" $store | toJson -}}
{{- end -}}

{{- /* Paths of the mounted certificates, where the options do not name others. */ -}}
{{- define "tiltmeter.kafka" -}}
{{- $settings := .settings -}}
{{- $tls := .root.Values.secrets.kafkaTls -}}
{{- if and $tls.existingSecret (eq (default "" $settings.kind) "kafka") -}}
{{- $options := default (dict) $settings.options -}}
{{- range $option, $key := dict "ssl_cafile" $tls.ca "ssl_certfile" $tls.cert "ssl_keyfile" $tls.certKey -}}
{{- if and $key (not (hasKey $options $option)) -}}
{{- $_ := set $options $option (printf "%s/%s" (include "tiltmeter.tls" $.root) $key) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $settings "options" $options -}}
{{- end -}}
{{- $settings | toJson -}}
{{- end -}}

{{- /*
The file of one role: the values, with what the chart sets. Workers recognise probes and ask none: of targets they get no more than which
there are, and none of what is asked, so that a change there restarts deciders only.
*/ -}}
{{- define "tiltmeter.config" -}}
{{- $config := deepCopy .root.Values.config -}}
{{- $databases := include "tiltmeter.databases" .root | fromJson -}}
{{- $_ := set $config "source" (include "tiltmeter.kafka" (dict "root" .root "settings" $config.source) | fromJson) -}}
{{- $_ := set $config "ledger" (include "tiltmeter.kafka" (dict "root" .root "settings" $databases.ledger) | fromJson) -}}
{{- $_ := set $config "store" $databases.store -}}
{{- $port := ternary .root.Values.sidecar.port 9108 .sidecar -}}
{{- $_ := set $config "http" (mergeOverwrite (default (dict) $config.http) (dict "host" "0.0.0.0" "port" $port)) -}}
{{- if ne .role "decider" -}}
{{- $compute := default (dict) $config.compute -}}
{{- if .root.Values.gpu.enabled -}}
{{- $compute = merge $compute (dict "device" "cuda") -}}
{{- else if .sidecar -}}
{{- $compute = merge $compute (dict "device" "cpu") -}}
{{- end -}}
{{- if .sidecar -}}{{- $compute = merge $compute (dict "threads" .root.Values.sidecar.threads) -}}{{- end -}}
{{- if $compute -}}{{- $_ := set $config "compute" $compute -}}{{- end -}}
{{- end -}}
{{- if eq .role "worker" -}}
{{- $names := dict -}}
{{- range $name, $target := default (dict) $config.targets -}}
{{- $_ := set $names $name (pick $target "monitors" "url") -}}
{{- end -}}
{{- $tags := pick (default (dict) $config.probes) "tag_key_file" -}}
{{- $config = omit $config "targets" "judges" "probes" "gates" -}}
{{- if $names -}}{{- $_ := set $config "targets" $names -}}{{- end -}}
{{- if $tags -}}{{- $_ := set $config "probes" $tags -}}{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}
