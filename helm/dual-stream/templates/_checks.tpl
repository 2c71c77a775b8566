{{/* Stops the rendering where the service would not start, or not do what was meant. The service checks the rest itself. */}}
{{- define "dual-stream.check" -}}
{{- $settings := include "dual-stream.settings" . | fromYaml -}}
{{- $known := include "dual-stream.known" . | fromYaml -}}
{{- if not $settings.AUTH_MODE -}}
{{- fail "config.AUTH_MODE is required: none (everyone who reaches the port may send events), api-key or jwt. It has no default, so that open is a decision" -}}
{{- end -}}
{{- if not $settings.KAFKA_BROKERS -}}
{{- fail "config.KAFKA_BROKERS is required: the brokers to begin with, host:port, separated by commas" -}}
{{- end -}}
{{- if and $settings.REDIS_URL $settings.REDIS_URL_FILE -}}
{{- fail "redis.url and redis.urlFrom.existingSecret exclude each other" -}}
{{- end -}}
{{- include "dual-stream.checkRequired" $known -}}
{{- include "dual-stream.checkCertificates" $known -}}
{{- include "dual-stream.checkNumbers" $known -}}
{{- if and (eq (default "" $known.REDIS_SHARDED_PUBSUB) "true") (not (has (default "standalone" $known.REDIS_MODE) (list "cluster" "(elsewhere)"))) -}}
{{- fail "config.REDIS_SHARDED_PUBSUB needs config.REDIS_MODE: cluster" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled .Values.keda.enabled -}}
{{- fail "autoscaling.enabled and keda.enabled exclude each other: two would set the number of pods" -}}
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
{{- with .Values.autoscaling -}}
{{- if and .enabled (not .targetCPUUtilizationPercentage) (not .targetBufferBytes) -}}
{{- fail "autoscaling.targetCPUUtilizationPercentage or autoscaling.targetBufferBytes is required: there is nothing to scale by" -}}
{{- end -}}
{{- end -}}
{{- with .Values.podDisruptionBudget -}}
{{- if and .enabled (kindIs "invalid" .minAvailable) (kindIs "invalid" .maxUnavailable) -}}
{{- fail "podDisruptionBudget.maxUnavailable or podDisruptionBudget.minAvailable is required" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What a choice makes necessary. A secret is given by its file, or by a variable of extraEnv. Call it with what is known. */}}
{{- define "dual-stream.checkRequired" -}}
{{- $known := . -}}
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
{{- fail (printf "config.%s is %s: %s is required" $name $choice (get $values . | default (printf "config.%s" .))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (not (or .REDIS_URL .REDIS_URL_FILE)) (not (has (default "standalone" .REDIS_MODE) (list "off" "(elsewhere)"))) -}}
{{- fail "redis.url or redis.urlFrom.existingSecret is required, or config.REDIS_MODE: \"off\"" -}}
{{- end -}}
{{- if and (eq (default "standalone" .REDIS_MODE) "standalone") (contains "," (default "" .REDIS_URL)) -}}
{{- fail "redis.url has several addresses: config.REDIS_MODE must be sentinel or cluster" -}}
{{- end -}}
{{- range list "KAFKA_SASL_PASSWORD" "KAFKA_SASL_OAUTH_CLIENT_SECRET" "REDIS_URL" "REDIS_PASSWORD" "OTEL_EXPORTER_OTLP_HEADERS" -}}
{{- if and (get $known .) (get $known (printf "%s_FILE" .)) -}}
{{- fail (printf "%s and %s_FILE are both set: remove the variable of extraEnv, or what gives the file" . .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Call it with what is known. */}}
{{- define "dual-stream.checkCertificates" -}}
{{- $known := . -}}
{{- range list "TLS" "KAFKA_SSL" "REDIS_TLS" -}}
{{- if ne (get $known (printf "%s_CERT_FILE" .) | empty) (get $known (printf "%s_KEY_FILE" .) | empty) -}}
{{- fail (printf "%s_CERT_FILE and %s_KEY_FILE must be set together" . .) -}}
{{- end -}}
{{- end -}}
{{- if and .TLS_CLIENT_CA_FILE (not .TLS_CERT_FILE) -}}
{{- fail "tls.clientCa needs tls.existingSecret: only who serves HTTPS can ask for certificates of clients" -}}
{{- end -}}
{{- if and (or .KAFKA_SSL_CA_FILE .KAFKA_SSL_CERT_FILE) (eq (default "false" .KAFKA_SSL) "false") -}}
{{- fail "kafka.ca and kafka.clientCertificate need config.KAFKA_SSL: true" -}}
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
