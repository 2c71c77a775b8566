{{/* Stops the rendering where a program would not start, or not do what was meant. Each checks the rest itself. */}}
{{- define "dual-stream.check" -}}
{{- $service := include "dual-stream.program" (list . "ingest") | fromYaml -}}
{{- $settings := $service.settings -}}
{{- $known := $service.known -}}
{{- if not $settings.AUTH_MODE -}}
{{- fail "config.AUTH_MODE is required: none (everyone who reaches the port may send events), api-key or jwt. It has no default, so that open is a decision" -}}
{{- end -}}
{{- if not $settings.KAFKA_BROKERS -}}
{{- fail "config.KAFKA_BROKERS is required: the brokers to begin with, host:port, separated by commas" -}}
{{- end -}}
{{- if and $settings.REDIS_URL $settings.REDIS_URL_FILE -}}
{{- fail "redis.url and redis.urlFrom.existingSecret exclude each other" -}}
{{- end -}}
{{- range include "dual-stream.programs" . | fromYamlArray -}}
{{- include "dual-stream.checkRequired" . -}}
{{- include "dual-stream.checkCertificates" . -}}
{{- include "dual-stream.checkPods" . -}}
{{- if eq .component "processor" -}}
{{- include "dual-stream.checkProcessor" . -}}
{{- else if eq .component "query" -}}
{{- include "dual-stream.checkQuery" (list $ .) -}}
{{- end -}}
{{- end -}}
{{- include "dual-stream.checkRedis" $known -}}
{{- include "dual-stream.checkNumbers" $known -}}
{{- if and (eq (default "" $known.REDIS_SHARDED_PUBSUB) "true") (not (has (default "standalone" $known.REDIS_MODE) (list "cluster" "(elsewhere)"))) -}}
{{- fail "config.REDIS_SHARDED_PUBSUB needs config.REDIS_MODE: cluster" -}}
{{- end -}}
{{- if and .Values.keda.enabled (not .Values.keda.prometheus.serverAddress) -}}
{{- fail "keda.prometheus.serverAddress is required" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs is required: the Gateways that the route belongs to" -}}
{{- end -}}
{{- if and .Values.monitoring.serviceMonitor.enabled .Values.monitoring.podMonitor.enabled -}}
{{- fail "monitoring.serviceMonitor.enabled and monitoring.podMonitor.enabled exclude each other: every sample would be counted twice" -}}
{{- end -}}
{{- end -}}

{{/* What a choice makes necessary. A secret is given by its file, or by a variable of extraEnv. Call it with the program. */}}
{{- define "dual-stream.checkRequired" -}}
{{- $known := .known -}}
{{- $prefix := .prefix -}}
{{- $sasl := list "KAFKA_SASL_USERNAME" "KAFKA_SASL_PASSWORD" -}}
{{- $needs := list
  (list "AUTH_MODE" "api-key" (list "AUTH_KEYS_FILE"))
  (list "AUTH_MODE" "jwt" (list "AUTH_JWT_ISSUER" "AUTH_JWT_AUDIENCE" "AUTH_JWT_JWKS_URL"))
  (list "KAFKA_SASL_MECHANISM" "PLAIN" $sasl)
  (list "KAFKA_SASL_MECHANISM" "SCRAM-SHA-256" $sasl)
  (list "KAFKA_SASL_MECHANISM" "SCRAM-SHA-512" $sasl)
  (list "KAFKA_SASL_MECHANISM" "OAUTHBEARER" (list "KAFKA_SASL_OAUTH_TOKEN_URL" "KAFKA_SASL_OAUTH_CLIENT_ID" "KAFKA_SASL_OAUTH_CLIENT_SECRET"))
  (list "REDIS_MODE" "sentinel" (list "REDIS_SENTINEL_MASTER"))
-}}
{{- $values := dict
  "AUTH_KEYS_FILE" "auth.apiKeys.existingSecret"
  "KAFKA_SASL_PASSWORD" "kafka.password.existingSecret"
  "KAFKA_SASL_OAUTH_CLIENT_SECRET" "kafka.oauthClientSecret.existingSecret"
-}}
{{- range $need := $needs -}}
{{- $name := index $need 0 -}}
{{- $choice := index $need 1 -}}
{{- if eq (get $known $name) $choice -}}
{{- range index $need 2 -}}
{{- if not (or (get $known .) (get $known (printf "%s_FILE" .))) -}}
{{- $wanted := get $values . | default (printf "%sconfig.%s" $prefix .) -}}
{{- fail (printf "%sconfig.%s is %s: %s is required" $prefix $name $choice $wanted) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range list "KAFKA_SASL_PASSWORD" "KAFKA_SASL_OAUTH_CLIENT_SECRET" "REDIS_URL" "REDIS_PASSWORD" "POSTGRES_URL" "OTEL_EXPORTER_OTLP_HEADERS" -}}
{{- if and (get $known .) (get $known (printf "%s_FILE" .)) -}}
{{- fail (printf "%s%s and %s_FILE are both set: remove the variable of extraEnv, or what gives the file" $prefix . .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Call it with the program. */}}
{{- define "dual-stream.checkCertificates" -}}
{{- $known := .known -}}
{{- $prefix := .prefix -}}
{{- range list "TLS" "KAFKA_SSL" "REDIS_TLS" "POSTGRES_SSL" -}}
{{- if ne (get $known (printf "%s_CERT_FILE" .) | empty) (get $known (printf "%s_KEY_FILE" .) | empty) -}}
{{- fail (printf "%s%s_CERT_FILE and %s_KEY_FILE must be set together" $prefix . .) -}}
{{- end -}}
{{- end -}}
{{- if and $known.TLS_CLIENT_CA_FILE (not $known.TLS_CERT_FILE) -}}
{{- fail "tls.clientCa needs tls.existingSecret: only who serves HTTPS can ask for certificates of clients" -}}
{{- end -}}
{{- $needed := dict "kafka" (printf "%sconfig.KAFKA_SSL" $prefix) "postgres" "postgres.ssl" -}}
{{- range list "kafka" "postgres" -}}
{{- $setting := printf "%s_SSL" (upper .) -}}
{{- $files := or (get $known (printf "%s_CA_FILE" $setting)) (get $known (printf "%s_CERT_FILE" $setting)) -}}
{{- if and $files (eq (get $known $setting | default "false") "false") -}}
{{- fail (printf "%s%s.ca and %s.clientCertificate need %s: true" $prefix . . (get $needed .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Call it with what is known. */}}
{{- define "dual-stream.checkRedis" -}}
{{- if and (not (or .REDIS_URL .REDIS_URL_FILE)) (not (has (default "standalone" .REDIS_MODE) (list "off" "(elsewhere)"))) -}}
{{- fail "redis.url or redis.urlFrom.existingSecret is required, or config.REDIS_MODE: \"off\"" -}}
{{- end -}}
{{- if and (eq (default "standalone" .REDIS_MODE) "standalone") (contains "," (default "" .REDIS_URL)) -}}
{{- fail "redis.url has several addresses: config.REDIS_MODE must be sentinel or cluster" -}}
{{- end -}}
{{- $url := default "" .REDIS_URL -}}
{{- $isTls := hasPrefix "rediss://" $url -}}
{{- if contains ($isTls | ternary ",redis://" ",rediss://") $url -}}
{{- fail "redis.url must be rediss:// for all addresses, or for none" -}}
{{- end -}}
{{- if and (or .REDIS_TLS_CA_FILE .REDIS_TLS_CERT_FILE) (not (or $isTls .REDIS_URL_FILE (eq $url "(elsewhere)"))) -}}
{{- fail "redis.ca and redis.clientCertificate need rediss:// in redis.url" -}}
{{- end -}}
{{- end -}}

{{/* Call it with what is known. Memory may make less of a buffer that is not set: the service checks that itself. */}}
{{- define "dual-stream.checkNumbers" -}}
{{- $publish := include "dual-stream.number" (list . "PUBLISH_TIMEOUT_MS") -}}
{{- $shutdown := include "dual-stream.number" (list . "SHUTDOWN_TIMEOUT_MS") -}}
{{- if and $publish $shutdown -}}
{{- if le (int64 $shutdown) (add (int64 $publish) 2000) -}}
{{- fail (printf "config.SHUTDOWN_TIMEOUT_MS (%s) must be more than config.PUBLISH_TIMEOUT_MS (%s) + 2000, or accepted events are cut off" $shutdown $publish) -}}
{{- end -}}
{{- end -}}
{{- $event := include "dual-stream.number" (list . "EVENT_MAX_BYTES") -}}
{{- $body := include "dual-stream.number" (list . "BODY_MAX_BYTES") -}}
{{- $buffer := include "dual-stream.number" (list . "BUFFER_MAX_BYTES") -}}
{{- if and $event $body -}}
{{- if gt (int64 $event) (int64 $body) -}}
{{- fail (printf "config.EVENT_MAX_BYTES (%s) must not be more than config.BODY_MAX_BYTES (%s)" $event $body) -}}
{{- end -}}
{{- end -}}
{{- if and .BODY_MAX_BYTES $body $buffer -}}
{{- if gt (int64 $body) (sub (div (int64 $buffer) 4) 65536) -}}
{{- fail (printf "config.BODY_MAX_BYTES (%s) must not be more than a quarter of config.BUFFER_MAX_BYTES (%s), less 64 KiB" $body $buffer) -}}
{{- end -}}
{{- end -}}
{{- $connections := include "dual-stream.number" (list . "CONNECTIONS_MAX") -}}
{{- if and $connections $buffer -}}
{{- $each := .TLS_CERT_FILE | empty | ternary 10240 102400 -}}
{{- if gt (int64 $connections) (max 500 (div (int64 $buffer) $each)) -}}
{{- fail (printf "config.CONNECTIONS_MAX (%s) must not be more than one for each %d bytes of config.BUFFER_MAX_BYTES (%s)" $connections $each $buffer) -}}
{{- end -}}
{{- end -}}
{{- if eq .MANAGEMENT_PORT .PORT -}}
{{- fail "config.MANAGEMENT_PORT must differ from config.PORT" -}}
{{- end -}}
{{- end -}}

{{/* What scales pods, and what keeps them. Call it with the program. */}}
{{- define "dual-stream.checkPods" -}}
{{- $prefix := .prefix -}}
{{- $keda := .values.keda | default dict -}}
{{- with .values.autoscaling -}}
{{- if and .enabled $keda.enabled -}}
{{- fail (printf "%sautoscaling.enabled and keda.enabled exclude each other: two would set the number of pods" $prefix) -}}
{{- end -}}
{{- if and .enabled (not .targetCPUUtilizationPercentage) (not .targetBufferBytes) (not .targetLagRecords) -}}
{{- $other := get (dict "ingest" "targetBufferBytes" "processor" "targetLagRecords") $.component -}}
{{- $or := empty $other | ternary "" (printf " or %sautoscaling.%s" $prefix $other) -}}
{{- fail (printf "%sautoscaling.targetCPUUtilizationPercentage%s is required: there is nothing to scale by" $prefix $or) -}}
{{- end -}}
{{- end -}}
{{- with .values.podDisruptionBudget -}}
{{- if and .enabled (kindIs "invalid" .minAvailable) (kindIs "invalid" .maxUnavailable) -}}
{{- fail (printf "%spodDisruptionBudget.maxUnavailable or %spodDisruptionBudget.minAvailable is required" $prefix $prefix) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What both programs of the event store need. Call it with the program. */}}
{{- define "dual-stream.checkStore" -}}
{{- if not (or .known.POSTGRES_URL .known.POSTGRES_URL_FILE) -}}
{{- fail (printf "%spostgres.urlFrom.existingSecret is required: the Secret with the address of PostgreSQL, user and password in it" .prefix) -}}
{{- end -}}
{{- end -}}

{{/* Call it with the program. */}}
{{- define "dual-stream.checkProcessor" -}}
{{- include "dual-stream.checkStore" . -}}
{{- $topic := .known.KAFKA_TOPIC | default "events" -}}
{{- if eq $topic (.known.KAFKA_DEAD_LETTER_TOPIC | default "") -}}
{{- fail (printf "processor.config.KAFKA_DEAD_LETTER_TOPIC must differ from the topic of the events, %s" $topic) -}}
{{- end -}}
{{- with .values.keda -}}
{{- if and .enabled $.known.KAFKA_SASL_MECHANISM (not .authenticationRef) -}}
{{- fail "processor.keda.authenticationRef is required: KEDA has to prove to Kafka who it is, as the processor does" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Call it with a list: the root, the program. */}}
{{- define "dual-stream.checkQuery" -}}
{{- $values := (index . 0).Values -}}
{{- with index . 1 -}}
{{- include "dual-stream.checkStore" . -}}
{{- if and (eq (.known.AUTH_MODE | default "") "none") (not (get $values.query.config "AUTH_MODE")) -}}
{{- fail "query.config.AUTH_MODE is required where config.AUTH_MODE is none: who may send events is not who may read them. It has no default, so that open is a decision" -}}
{{- end -}}
{{- if eq .known.MANAGEMENT_PORT .known.PORT -}}
{{- fail "query.config.MANAGEMENT_PORT must differ from query.config.PORT" -}}
{{- end -}}
{{- if and $values.query.route.enabled (not $values.ingress.enabled) (not $values.httpRoute.enabled) -}}
{{- fail "query.route.enabled needs ingress.enabled or httpRoute.enabled: it is a path of theirs" -}}
{{- end -}}
{{- end -}}
{{- end -}}
