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

{{/* Numbers of values are floating: 10485760 must not become 1.048576e+07. */}}
{{- define "dual-stream.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- int64 . -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{/* Milliseconds from SIGTERM until the service has settled what it accepted. Its own default if not set. */}}
{{- define "dual-stream.drainMs" -}}
{{- add (.Values.config.SHUTDOWN_DELAY_MS | default 0 | int64) (hasKey .Values.config "SHUTDOWN_TIMEOUT_MS" | ternary .Values.config.SHUTDOWN_TIMEOUT_MS 20000 | int64) -}}
{{- end -}}

{{- define "dual-stream.gracePeriodSeconds" -}}
{{- $drainMs := include "dual-stream.drainMs" . | int64 -}}
{{- $set := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $set -}}
{{- add (div (add $drainMs 999) 1000) 5 -}}
{{- else if le (mul (int64 $set) 1000) $drainMs -}}
{{- fail (printf "terminationGracePeriodSeconds is %d, but SHUTDOWN_DELAY_MS + SHUTDOWN_TIMEOUT_MS are %d ms: accepted events would be cut off" (int64 $set) $drainMs) -}}
{{- else -}}
{{- int64 $set -}}
{{- end -}}
{{- end -}}
