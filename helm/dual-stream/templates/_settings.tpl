{{/*
What comes from Secrets. Each entry is mounted as a folder below /etc/dual-stream, so that a changed certificate reaches the
running service, and named to the service by settings that hold paths: no secret is ever in the environment.
*/}}
{{- define "dual-stream.mounts" -}}
{{- $v := .Values -}}
{{- $wanted := list
  (dict "name" "auth" "from" $v.auth.apiKeys "files" (dict "AUTH_KEYS_FILE" "key"))
  (dict "name" "tls" "from" $v.tls "files" (dict "TLS_CERT_FILE" "certKey" "TLS_KEY_FILE" "keyKey"))
  (dict "name" "tls-client-ca" "from" $v.tls.clientCa "files" (dict "TLS_CLIENT_CA_FILE" "key"))
  (dict "name" "kafka-password" "from" $v.kafka.password "files" (dict "KAFKA_SASL_PASSWORD_FILE" "key"))
  (dict "name" "kafka-oauth" "from" $v.kafka.oauthClientSecret "files" (dict "KAFKA_SASL_OAUTH_CLIENT_SECRET_FILE" "key"))
  (dict "name" "kafka-ca" "from" $v.kafka.ca "files" (dict "KAFKA_SSL_CA_FILE" "key"))
  (dict "name" "kafka-client" "from" $v.kafka.clientCertificate "files" (dict "KAFKA_SSL_CERT_FILE" "certKey" "KAFKA_SSL_KEY_FILE" "keyKey"))
  (dict "name" "redis-url" "from" $v.redis.urlFrom "files" (dict "REDIS_URL_FILE" "key"))
  (dict "name" "redis-password" "from" $v.redis.password "files" (dict "REDIS_PASSWORD_FILE" "key"))
  (dict "name" "redis-ca" "from" $v.redis.ca "files" (dict "REDIS_TLS_CA_FILE" "key"))
  (dict "name" "redis-client" "from" $v.redis.clientCertificate "files" (dict "REDIS_TLS_CERT_FILE" "certKey" "REDIS_TLS_KEY_FILE" "keyKey"))
  (dict "name" "tracing-headers" "from" $v.tracing.headers "files" (dict "OTEL_EXPORTER_OTLP_HEADERS_FILE" "key"))
-}}
{{- $mounts := list -}}
{{- range $wanted -}}
{{- if .from.existingSecret -}}
{{- $keys := dict -}}
{{- $from := .from -}}
{{- range $setting, $key := .files -}}
{{- $_ := set $keys $setting (get $from $key) -}}
{{- end -}}
{{- $mounts = append $mounts (dict "name" .name "secret" .from.existingSecret "keys" $keys "path" (printf "/etc/dual-stream/%s" .name)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $mounts -}}
{{- end -}}

{{/* All settings of the service, by name: config, and the paths of what is mounted. */}}
{{- define "dual-stream.settings" -}}
{{- $settings := dict -}}
{{- range $name, $value := .Values.config -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $settings $name (include "dual-stream.text" $value) -}}
{{- end -}}
{{- end -}}
{{- with .Values.redis.url -}}
{{- $_ := set $settings "REDIS_URL" . -}}
{{- end -}}
{{- range $mount := include "dual-stream.mounts" . | fromYamlArray -}}
{{- range $name, $key := $mount.keys -}}
{{- if hasKey $settings $name -}}
{{- fail (printf "config.%s is set, and so is the Secret that it would come from: remove one of them" $name) -}}
{{- end -}}
{{- $_ := set $settings $name (printf "%s/%s" $mount.path $key) -}}
{{- end -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/*
All settings by name as the service will read them: extraEnv wins over the ConfigMap, and an empty text is none. What only the
cluster knows, such as a value from a Secret, is `(elsewhere)`.
*/}}
{{- define "dual-stream.known" -}}
{{- $known := include "dual-stream.settings" . | fromYaml -}}
{{- range .Values.extraEnv -}}
{{- if or (hasKey . "valueFrom") (contains "$(" (toString .value)) -}}
{{- $_ := set $known .name "(elsewhere)" -}}
{{- else if and (hasKey . "value") (not (kindIs "invalid" .value)) (ne (toString .value) "") -}}
{{- $_ := set $known .name (toString .value) -}}
{{- else -}}
{{- $_ := unset $known .name -}}
{{- end -}}
{{- end -}}
{{- toYaml $known -}}
{{- end -}}

{{/* Numbers of values are floating: 10485760 must not become 1.048576e+07, nor 0.00005 5e-05. */}}
{{- define "dual-stream.text" -}}
{{- if not (kindIs "float64" .) -}}
{{- . -}}
{{- else if eq (floor .) . -}}
{{- int64 . -}}
{{- else -}}
{{- regexReplaceAll "[.]?0+$" (printf "%.9f" .) "" -}}
{{- end -}}
{{- end -}}

{{/* A setting that is a number, or the service's own default. Empty if only the cluster knows it. Call it with a list: what is known, its name. */}}
{{- define "dual-stream.number" -}}
{{- $defaults := dict
  "SHUTDOWN_DELAY_MS" "0"
  "SHUTDOWN_TIMEOUT_MS" "20000"
  "PUBLISH_TIMEOUT_MS" "15000"
  "EVENT_MAX_BYTES" "900000"
  "BODY_MAX_BYTES" "10485760"
  "BUFFER_MAX_BYTES" "67108864"
-}}
{{- $text := get (index . 0) (index . 1) | default (get $defaults (index . 1)) -}}
{{- if regexMatch "^[0-9]+$" $text -}}
{{- $text -}}
{{- end -}}
{{- end -}}

{{/* Milliseconds from SIGTERM until the service has settled what it accepted. */}}
{{- define "dual-stream.drainMs" -}}
{{- $known := include "dual-stream.known" . | fromYaml -}}
{{- $delay := include "dual-stream.number" (list $known "SHUTDOWN_DELAY_MS") -}}
{{- $timeout := include "dual-stream.number" (list $known "SHUTDOWN_TIMEOUT_MS") -}}
{{- if not (and $delay $timeout) -}}
{{- fail "SHUTDOWN_DELAY_MS and SHUTDOWN_TIMEOUT_MS must stand in config, not come from elsewhere: the grace period is made of them" -}}
{{- end -}}
{{- add (int64 $delay) (int64 $timeout) -}}
{{- end -}}

{{/* Five seconds beyond the drain: the producer, the notifier and the spans are closed after it. */}}
{{- define "dual-stream.gracePeriodSeconds" -}}
{{- $drainMs := include "dual-stream.drainMs" . | int64 -}}
{{- $least := add (div (add $drainMs 999) 1000) 5 -}}
{{- $set := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $set -}}
{{- $least -}}
{{- else if lt (int64 $set) $least -}}
{{- fail (printf "terminationGracePeriodSeconds is %d, but SHUTDOWN_DELAY_MS + SHUTDOWN_TIMEOUT_MS are %d ms, and connections are closed after that: it must be at least %d, or accepted events are cut off" (int64 $set) $drainMs $least) -}}
{{- else -}}
{{- int64 $set -}}
{{- end -}}
{{- end -}}
