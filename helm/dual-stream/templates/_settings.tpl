{{/*
What comes from Secrets, for each program: what it shares with the service stands in `inherited`. Each entry is mounted as a folder
below /etc/dual-stream, so that a changed certificate reaches the running program, and named to it by settings that hold paths: no
secret is ever in the environment.
*/}}
{{- define "dual-stream.secrets" -}}
{{- $v := .Values -}}
{{- $auth := list
  (dict "name" "auth" "from" $v.auth.apiKeys "files" (dict "AUTH_KEYS_FILE" "key"))
  (dict "name" "tls" "from" $v.tls "files" (dict "TLS_CERT_FILE" "certKey" "TLS_KEY_FILE" "keyKey"))
  (dict "name" "tls-client-ca" "from" $v.tls.clientCa "files" (dict "TLS_CLIENT_CA_FILE" "key"))
-}}
{{- $kafka := list
  (dict "name" "kafka-password" "from" $v.kafka.password "files" (dict "KAFKA_SASL_PASSWORD_FILE" "key"))
  (dict "name" "kafka-oauth" "from" $v.kafka.oauthClientSecret "files" (dict "KAFKA_SASL_OAUTH_CLIENT_SECRET_FILE" "key"))
  (dict "name" "kafka-ca" "from" $v.kafka.ca "files" (dict "KAFKA_SSL_CA_FILE" "key"))
  (dict "name" "kafka-client" "from" $v.kafka.clientCertificate "files" (dict "KAFKA_SSL_CERT_FILE" "certKey" "KAFKA_SSL_KEY_FILE" "keyKey"))
-}}
{{- $others := list
  (dict "name" "redis-url" "from" $v.redis.urlFrom "files" (dict "REDIS_URL_FILE" "key"))
  (dict "name" "redis-password" "from" $v.redis.password "files" (dict "REDIS_PASSWORD_FILE" "key"))
  (dict "name" "redis-ca" "from" $v.redis.ca "files" (dict "REDIS_TLS_CA_FILE" "key"))
  (dict "name" "redis-client" "from" $v.redis.clientCertificate "files" (dict "REDIS_TLS_CERT_FILE" "certKey" "REDIS_TLS_KEY_FILE" "keyKey"))
  (dict "name" "tracing-headers" "from" $v.tracing.headers "files" (dict "OTEL_EXPORTER_OTLP_HEADERS_FILE" "key"))
-}}
{{- $postgresCa := dict "name" "postgres-ca" "from" $v.postgres.ca "files" (dict "POSTGRES_SSL_CA_FILE" "key") -}}
{{- $own := dict "ingest" (concat $auth $kafka $others) -}}
{{- range $program := list "processor" "query" -}}
{{- $p := get $v $program -}}
{{- $ofProgram := list
  (dict "name" "postgres-url" "from" $p.postgres.urlFrom "files" (dict "POSTGRES_URL_FILE" "key"))
  (dict "name" "postgres-client" "from" $p.postgres.clientCertificate "files" (dict "POSTGRES_SSL_CERT_FILE" "certKey" "POSTGRES_SSL_KEY_FILE" "keyKey"))
-}}
{{- if eq $program "processor" -}}
{{- range $kafka -}}
{{- $member := get (dict "kafka-password" "password" "kafka-oauth" "oauthClientSecret" "kafka-ca" "ca" "kafka-client" "clientCertificate") .name -}}
{{- $ofProgram = append $ofProgram (dict "name" .name "from" (get $p.kafka $member) "files" .files) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $own $program $ofProgram -}}
{{- end -}}
{{- $inherited := dict "ingest" list "processor" (append $kafka $postgresCa) "query" (append $auth $postgresCa) -}}
{{- toYaml (dict "own" $own "inherited" $inherited) -}}
{{- end -}}

{{/* Settings that a program takes from `config` of the service, unless it has others. */}}
{{- define "dual-stream.inherited" -}}
ingest: []
processor:
  - HOST
  - LOG_LEVEL
  - KAFKA_BROKERS
  - KAFKA_TOPIC
  - KAFKA_TOPIC_CREATE
  - KAFKA_SSL
  - KAFKA_SSL_CA_FILE
  - KAFKA_SSL_CERT_FILE
  - KAFKA_SSL_KEY_FILE
  - KAFKA_SASL_MECHANISM
  - KAFKA_SASL_USERNAME
  - KAFKA_SASL_PASSWORD_FILE
  - KAFKA_SASL_OAUTH_TOKEN_URL
  - KAFKA_SASL_OAUTH_CLIENT_ID
  - KAFKA_SASL_OAUTH_CLIENT_SECRET_FILE
  - KAFKA_SASL_OAUTH_SCOPE
query:
  - HOST
  - LOG_LEVEL
  - TLS_CERT_FILE
  - TLS_KEY_FILE
  - TLS_CLIENT_CA_FILE
  - AUTH_MODE
  - AUTH_KEYS_FILE
  - AUTH_JWT_ISSUER
  - AUTH_JWT_AUDIENCE
  - AUTH_JWT_JWKS_URL
  - AUTH_JWT_ALGORITHMS
  - AUTH_JWT_CLIENT_CLAIM
  - AUTH_JWT_SCOPE_CLAIM
{{- end -}}

{{/*
The settings of a program by name, and what is mounted for them: its config, its Secrets, and what it takes from the service where
it has nothing of its own. Call it with a list: the root, the program.
*/}}
{{- define "dual-stream.settingsAndMounts" -}}
{{- $root := index . 0 -}}
{{- $program := index . 1 -}}
{{- $isService := eq $program "ingest" -}}
{{- $config := $isService | ternary "config" (printf "%s.config" $program) -}}
{{- $ownConfig := $isService | ternary $root.Values.config (get $root.Values $program | default dict).config -}}
{{- $settings := dict -}}
{{- $mounts := list -}}
{{- range $name, $value := $ownConfig -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $settings $name (include "dual-stream.text" $value) -}}
{{- end -}}
{{- end -}}
{{- if and $isService $root.Values.redis.url -}}
{{- $_ := set $settings "REDIS_URL" $root.Values.redis.url -}}
{{- end -}}
{{- $secrets := include "dual-stream.secrets" $root | fromYaml -}}
{{- range $isOwn := list true false -}}
{{- range $secret := get (get $secrets ($isOwn | ternary "own" "inherited")) $program -}}
{{- if .from.existingSecret -}}
{{- $isSet := false -}}
{{- range $name, $_ := .files -}}
{{- if hasKey $settings $name -}}
{{- if $isOwn -}}
{{- fail (printf "%s.%s is set, and so is the Secret that it would come from: remove one of them" $config $name) -}}
{{- end -}}
{{- $isSet = true -}}
{{- end -}}
{{- end -}}
{{- if not $isSet -}}
{{- $keys := dict -}}
{{- $path := printf "/etc/dual-stream/%s" .name -}}
{{- range $name, $key := .files -}}
{{- $_ := set $keys $name (get $secret.from $key) -}}
{{- end -}}
{{- $mounts = append $mounts (dict "name" .name "secret" .from.existingSecret "keys" $keys "path" $path) -}}
{{- range $name, $key := $keys -}}
{{- $_ := set $settings $name (printf "%s/%s" $path $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range get (include "dual-stream.inherited" $root | fromYaml) $program -}}
{{- $value := get $root.Values.config . -}}
{{- if not (or (hasKey $settings .) (kindIs "invalid" $value) (not (hasKey $root.Values.config .))) -}}
{{- $_ := set $settings . (include "dual-stream.text" $value) -}}
{{- end -}}
{{- end -}}
{{- if and (not $isService) $root.Values.postgres.ssl (not (hasKey $settings "POSTGRES_SSL")) -}}
{{- $_ := set $settings "POSTGRES_SSL" "true" -}}
{{- end -}}
{{- toYaml (dict "settings" $settings "mounts" $mounts) -}}
{{- end -}}

{{/*
All settings by name as the program will read them: extraEnv wins over the ConfigMap, and an empty text is none. What only the
cluster knows, such as a value from a Secret, is `(elsewhere)`. Call it with a list: the settings, extraEnv.
*/}}
{{- define "dual-stream.known" -}}
{{- $known := deepCopy (index . 0) -}}
{{- range index . 1 -}}
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

{{/*
A setting that is a number, or the program's own default. Empty if only the cluster knows it. Call it with a list: what is known, its
name, the program if it is not the service.
*/}}
{{- define "dual-stream.number" -}}
{{- $defaults := dict
  "SHUTDOWN_DELAY_MS" "0"
  "SHUTDOWN_TIMEOUT_MS" "20000"
  "PUBLISH_TIMEOUT_MS" "15000"
  "EVENT_MAX_BYTES" "900000"
  "BODY_MAX_BYTES" "10485760"
  "BUFFER_MAX_BYTES" "67108864"
-}}
{{- if eq (rest (rest .) | first | default "") "query" -}}
{{- $_ := set $defaults "SHUTDOWN_TIMEOUT_MS" "10000" -}}
{{- end -}}
{{- $text := get (index . 0) (index . 1) | default (get $defaults (index . 1)) -}}
{{- if regexMatch "^[0-9]+$" $text -}}
{{- $text -}}
{{- end -}}
{{- end -}}

{{/* Milliseconds from SIGTERM until a program has settled what it accepted. Call it with the program. */}}
{{- define "dual-stream.drainMs" -}}
{{- $delay := include "dual-stream.number" (list .known "SHUTDOWN_DELAY_MS" .component) -}}
{{- $timeout := include "dual-stream.number" (list .known "SHUTDOWN_TIMEOUT_MS" .component) -}}
{{- if not (and $delay $timeout) -}}
{{- fail (printf "%sSHUTDOWN_DELAY_MS and SHUTDOWN_TIMEOUT_MS must stand in config, not come from elsewhere: the grace period is made of them" .prefix) -}}
{{- end -}}
{{- add (int64 $delay) (int64 $timeout) -}}
{{- end -}}

{{/* Five seconds beyond the drain: clients of Kafka, Redis and PostgreSQL and the spans are closed after it. Call it with the program. */}}
{{- define "dual-stream.gracePeriodSeconds" -}}
{{- $drainMs := include "dual-stream.drainMs" . | int64 -}}
{{- $least := add (div (add $drainMs 999) 1000) 5 -}}
{{- $set := .values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $set -}}
{{- $least -}}
{{- else if lt (int64 $set) $least -}}
{{- fail (printf "%sterminationGracePeriodSeconds is %d, but SHUTDOWN_DELAY_MS + SHUTDOWN_TIMEOUT_MS are %d ms, and connections are closed after that: it must be at least %d, or accepted events are cut off" .prefix (int64 $set) $drainMs $least) -}}
{{- else -}}
{{- int64 $set -}}
{{- end -}}
{{- end -}}
