{{/* Stops the rendering where the service would not start, or not do what was meant. The service checks the rest itself. */}}
{{- define "dual-stream.check" -}}
{{- $settings := include "dual-stream.settings" . | fromYaml -}}
{{- if not $settings.AUTH_MODE -}}
{{- fail "config.AUTH_MODE is required: none (everyone who reaches the port may send events), api-key or jwt. It has no default, so that open is a decision" -}}
{{- end -}}
{{- if not $settings.KAFKA_BROKERS -}}
{{- fail "config.KAFKA_BROKERS is required: the brokers to begin with, host:port, separated by commas" -}}
{{- end -}}
{{- if and (eq $settings.AUTH_MODE "api-key") (not $settings.AUTH_KEYS_FILE) -}}
{{- fail "config.AUTH_MODE is api-key: auth.apiKeys.existingSecret is required" -}}
{{- end -}}
{{- if eq $settings.AUTH_MODE "jwt" -}}
{{- range list "AUTH_JWT_ISSUER" "AUTH_JWT_AUDIENCE" "AUTH_JWT_JWKS_URL" -}}
{{- if not (get $settings .) -}}
{{- fail (printf "config.AUTH_MODE is jwt: config.%s is required" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $settings.KAFKA_SASL_MECHANISM -}}
{{- if eq . "OAUTHBEARER" -}}
{{- if not $settings.KAFKA_SASL_OAUTH_CLIENT_SECRET_FILE -}}
{{- fail "config.KAFKA_SASL_MECHANISM is OAUTHBEARER: kafka.oauthClientSecret.existingSecret is required" -}}
{{- end -}}
{{- else if not $settings.KAFKA_SASL_PASSWORD_FILE -}}
{{- fail (printf "config.KAFKA_SASL_MECHANISM is %s: kafka.password.existingSecret is required" .) -}}
{{- end -}}
{{- end -}}
{{- $hasRedis := or $settings.REDIS_URL $settings.REDIS_URL_FILE -}}
{{- if and (not $hasRedis) (ne (default "standalone" $settings.REDIS_MODE) "off") -}}
{{- fail "redis.url or redis.urlFrom.existingSecret is required, or config.REDIS_MODE: \"off\"" -}}
{{- end -}}
{{- if and $settings.REDIS_URL $settings.REDIS_URL_FILE -}}
{{- fail "redis.url and redis.urlFrom.existingSecret exclude each other" -}}
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
{{- end -}}
