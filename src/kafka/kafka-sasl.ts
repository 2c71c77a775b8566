import type { SASLOptions } from 'kafkajs';
import type { Config } from '../config.ts';
import { oauthTokens } from './kafka-oauth.ts';

/** The settings that say how to prove to Kafka who this is, whichever program's they are. */
export type SaslSettings = Pick<Config, 'KAFKA_SSL' | Extract<keyof Config, `KAFKA_SASL_${string}`>>;

/** How to prove to Kafka who this is, as kafkajs wants it. */
export function saslOptions(config: SaslSettings): SASLOptions | undefined {
  const { KAFKA_SASL_USERNAME: username = '', KAFKA_SASL_PASSWORD: password = '' } = config;
  switch (config.KAFKA_SASL_MECHANISM) {
    case undefined:
      return undefined;
    case 'PLAIN':
      return { mechanism: 'plain', username, password };
    case 'SCRAM-SHA-256':
      return { mechanism: 'scram-sha-256', username, password };
    case 'SCRAM-SHA-512':
      return { mechanism: 'scram-sha-512', username, password };
    case 'OAUTHBEARER':
      return {
        mechanism: 'oauthbearer',
        oauthBearerProvider: oauthTokens({
          tokenUrl: config.KAFKA_SASL_OAUTH_TOKEN_URL ?? '',
          clientId: config.KAFKA_SASL_OAUTH_CLIENT_ID ?? '',
          clientSecret: config.KAFKA_SASL_OAUTH_CLIENT_SECRET ?? '',
          scope: config.KAFKA_SASL_OAUTH_SCOPE,
        }),
      };
  }
}

/** PLAIN sends the password and OAUTHBEARER the token; SCRAM proves that it knows the password. */
export function isSecretInClear({ KAFKA_SSL, KAFKA_SASL_MECHANISM: mechanism }: SaslSettings): boolean {
  return !KAFKA_SSL && (mechanism === 'PLAIN' || mechanism === 'OAUTHBEARER');
}
