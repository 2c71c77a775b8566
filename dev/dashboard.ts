/** Grafana's dashboard of the service, as an object: written to observability/dashboard.json (npm run generate). */

interface Panel {
  readonly title: string;
  /** What to conclude from it. */
  readonly description: string;
  readonly unit: string;
  /** By legend: the query. */
  readonly queries: Readonly<Record<string, string>>;
  readonly kind?: 'timeseries' | 'stat' | 'state';
  /** Out of 24. */
  readonly width: number;
}

const ALL = '{job=~"$job", instance=~"$instance"}';
const only = (labels: string) => `{job=~"$job", instance=~"$instance", ${labels}}`;
const rate = (metric: string, by: string, selector = ALL) =>
  `sum by (${by}) (rate(${metric}${selector}[$__rate_interval]))`;
const quantile = (q: number, metric: string, selector = ALL) =>
  `histogram_quantile(${q}, sum by (le) (rate(${metric}_bucket${selector}[$__rate_interval])))`;
const quantiles = (metric: string, selector = ALL) => ({
  p50: quantile(0.5, metric, selector),
  p99: quantile(0.99, metric, selector),
});

const EVENTS = only('http_route=~"/v1/events.*"');
const READING = only('http_route=~"/v1/sources/.*"');
/** Of the series of several programs, those of one: of what only it has. */
const ofService = (series: string) => `${series} and on (job, instance) dual_stream_buffer_bytes_limit`;
const ofProcessor = (series: string) => `${series} and on (job, instance) dual_stream_processor_partitions`;
const ofQuery = (series: string) => `${series} and on (job, instance) dual_stream_query_waiting`;

const rows: Readonly<Record<string, readonly Panel[]>> = {
  'Is it us, Kafka or Redis?': [
    {
      title: 'Kafka',
      description: 'Instances that can store events. Fewer than all of them: it is Kafka, or the way to it.',
      kind: 'state',
      unit: 'short',
      width: 4,
      queries: { ready: `min(${ofService(`dual_stream_ready${only('dependency="kafka"')}`)})` },
    },
    {
      title: 'Redis',
      description: 'Whether subscribers are told. Redis changes no answer.',
      kind: 'state',
      unit: 'short',
      width: 4,
      queries: { ready: `min(dual_stream_ready${only('dependency="redis"')})` },
    },
    {
      title: 'Events that could not be stored',
      description: 'Of those that were not refused. The objective is 0.1 % at most.',
      kind: 'stat',
      unit: 'percentunit',
      width: 4,
      queries: {
        failed: `sum(rate(dual_stream_events_total${only('outcome=~"not_stored|unknown"')}[$__rate_interval])) / sum(rate(dual_stream_events_total${only('outcome=~"stored|not_stored|unknown"')}[$__rate_interval]))`,
      },
    },
    {
      title: 'Where the time goes, p99',
      description:
        'The request from its headers to its answer, the wait for Kafka within it, and one Produce request within that. If all three rise, it is Kafka; the first alone: senders are slow, or this service has too little CPU.',
      unit: 's',
      width: 12,
      queries: {
        request: quantile(0.99, 'http_server_request_duration_seconds', EVENTS),
        'accepted to stored': quantile(0.99, 'dual_stream_kafka_publish_duration_seconds'),
        'Produce request': quantile(0.99, 'dual_stream_kafka_request_duration_seconds'),
        'Redis pipeline': quantile(0.99, 'dual_stream_redis_publish_duration_seconds'),
      },
    },
  ],
  Events: [
    {
      title: 'Events a second, by outcome',
      description: 'refused: the sender has to change something. not_stored and unknown: send again.',
      unit: 'eps',
      width: 12,
      queries: { '{{outcome}}': rate('dual_stream_events_total', 'outcome') },
    },
    {
      title: 'Problems a second, by code',
      description: 'What senders are answered instead of success; /problems/<code> explains each.',
      unit: 'reqps',
      width: 12,
      queries: {
        '{{reason}}': `sum by (reason) (${ofService(`rate(dual_stream_refused_total${ALL}[$__rate_interval])`)})`,
      },
    },
    {
      title: 'Requests a second, by status',
      description: 'On the routes that take events.',
      unit: 'reqps',
      width: 12,
      queries: {
        '{{http_response_status_code}}': rate(
          'http_server_request_duration_seconds_count',
          'http_response_status_code',
          EVENTS,
        ),
      },
    },
    {
      title: 'Request duration',
      description: 'From the headers to the last byte of the answer.',
      unit: 's',
      width: 12,
      queries: quantiles('http_server_request_duration_seconds', EVENTS),
    },
  ],
  Kafka: [
    {
      title: 'Produce request duration',
      description: 'From writing it to its answer.',
      unit: 's',
      width: 8,
      queries: quantiles('dual_stream_kafka_request_duration_seconds'),
    },
    {
      title: 'Attempts that failed, by error',
      description: "Kafka's own names, or connection, timeout and abandoned. They are retried.",
      unit: 'ops',
      width: 8,
      queries: { '{{reason}}': rate('dual_stream_kafka_errors_total', 'reason') },
    },
    {
      title: 'Events in a record batch',
      description: 'Grows by itself when Kafka is slow.',
      unit: 'short',
      width: 8,
      queries: quantiles('dual_stream_batch_events'),
    },
    {
      title: 'Buffer, share of its limit',
      description: 'At 1 events are refused with buffer-full.',
      unit: 'percentunit',
      width: 8,
      queries: {
        'bytes {{instance}}': `dual_stream_buffer_bytes${ALL} / dual_stream_buffer_bytes_limit${ALL}`,
        'events {{instance}}': `dual_stream_buffer_events${ALL} / dual_stream_buffer_events_limit${ALL}`,
      },
    },
    {
      title: 'Age of the oldest event',
      description: 'One that does not fall belongs to a partition that is stuck.',
      unit: 's',
      width: 8,
      queries: { '{{instance}}': `dual_stream_buffer_oldest_age_seconds${ALL}` },
    },
    {
      title: 'Replicas of the topic',
      description: 'Below 3 and 2, one broker can take acknowledged events with it.',
      unit: 'short',
      width: 8,
      queries: {
        'replication factor': `min(dual_stream_kafka_topic_replication_factor${ALL})`,
        'min.insync.replicas': `min(dual_stream_kafka_topic_min_insync_replicas${ALL})`,
      },
    },
  ],
  Redis: [
    {
      title: 'Notifications a second, by result',
      description: 'failed: Redis was down or refused; dropped: it was too slow.',
      unit: 'ops',
      width: 12,
      queries: { '{{result}}': rate('dual_stream_redis_notifications_total', 'result') },
    },
    {
      title: 'Duration of a pipeline',
      description: 'Of scripts that publish up to 64 notifications each.',
      unit: 's',
      width: 12,
      queries: quantiles('dual_stream_redis_publish_duration_seconds'),
    },
  ],
  'Event processor': [
    {
      title: 'Stores events',
      description:
        'Kafka and PostgreSQL can both be used by every processor. Where they cannot, events wait in Kafka.',
      kind: 'state',
      unit: 'short',
      width: 4,
      queries: { ready: `min(${ofProcessor(`dual_stream_ready${only('dependency=~"kafka|postgres"')}`)})` },
    },
    {
      title: 'Behind Kafka',
      description:
        'Of the partition that is furthest behind, how old the last record is that is stored. It stands still while PostgreSQL cannot be asked.',
      kind: 'stat',
      unit: 's',
      width: 4,
      queries: { behind: `max(dual_stream_processor_lag_seconds${ALL})` },
    },
    {
      title: 'Records behind Kafka',
      description: 'Falls at the rate at which more is stored than comes in. It is what autoscaling goes by.',
      unit: 'short',
      width: 8,
      queries: { '{{instance}}': `dual_stream_processor_lag_records${ALL}` },
    },
    {
      title: 'Partitions',
      description: 'Shared by the instances. One that has none stands by; the sum is that of the topic.',
      unit: 'short',
      width: 8,
      queries: { '{{instance}}': `dual_stream_processor_partitions${ALL}` },
    },
    {
      title: 'Events read a second, by result',
      description:
        'copy: sent twice, kept once. conflict: a copy that says something else, counted as copy too. expired: older than the store keeps them.',
      unit: 'eps',
      width: 8,
      queries: { '{{result}}': rate('dual_stream_processor_events_total', 'result') },
    },
    {
      title: 'From Kafka into the store',
      description: 'From the acknowledgement of Kafka until an event can be read.',
      unit: 's',
      width: 8,
      queries: quantiles('dual_stream_processor_event_age_seconds'),
    },
    {
      title: 'Transaction duration',
      description: 'With the wait for those of other processors. If it rises, it is PostgreSQL.',
      unit: 's',
      width: 8,
      queries: quantiles('dual_stream_processor_transaction_duration_seconds'),
    },
    {
      title: 'Attempts that failed',
      description: 'They are repeated until they succeed: nothing is left out.',
      unit: 'ops',
      width: 8,
      queries: { '{{instance}}': rate('dual_stream_processor_failures_total', 'instance') },
    },
    {
      title: 'Records that are not stored',
      description:
        'Dead letters by what is wrong with them, and records that Kafka removed too early, which are lost.',
      unit: 'ops',
      width: 8,
      queries: {
        '{{reason}}': rate('dual_stream_processor_dead_letters_total', 'reason'),
        lost: `sum(rate(dual_stream_processor_lost_records_total${ALL}[$__rate_interval]))`,
      },
    },
    {
      title: 'Events removed for their age',
      description: 'As STORE_RETENTION_HOURS says.',
      unit: 'eps',
      width: 8,
      queries: { removed: `sum(rate(dual_stream_processor_removed_events_total${ALL}[$__rate_interval]))` },
    },
  ],
  'Query API': [
    {
      title: 'Events can be read',
      description: 'PostgreSQL answers every instance.',
      kind: 'state',
      unit: 'short',
      width: 4,
      queries: { ready: `min(${ofQuery(`dual_stream_ready${only('dependency="postgres"')}`)})` },
    },
    {
      title: 'Reads a second, by status',
      description:
        '404: not there, or not yet. 503: PostgreSQL does not answer, or too much is asked at once.',
      unit: 'reqps',
      width: 10,
      queries: {
        '{{http_response_status_code}}': rate(
          'http_server_request_duration_seconds_count',
          'http_response_status_code',
          READING,
        ),
      },
    },
    {
      title: 'Duration of reads',
      description: 'Those that wait for an event take as long as they wait.',
      unit: 's',
      width: 10,
      queries: quantiles('http_server_request_duration_seconds', READING),
    },
    {
      title: 'Questions to PostgreSQL',
      description: 'With the wait for a connection: if it rises alone, there are too few of them.',
      unit: 's',
      width: 8,
      queries: quantiles('dual_stream_store_query_duration_seconds'),
    },
    {
      title: 'Requests that wait for an event',
      description: 'They take a connection of a client each, and none of PostgreSQL.',
      unit: 'short',
      width: 8,
      queries: { '{{instance}}': `dual_stream_query_waiting${ALL}` },
    },
    {
      title: 'Ends of waiting a second',
      description:
        'found, or absent when the time was up; left: the client went away, or the program stopped; failed: PostgreSQL could not be asked.',
      unit: 'ops',
      width: 8,
      queries: { '{{result}}': rate('dual_stream_query_waits_total', 'result') },
    },
  ],
  'The process': [
    {
      title: 'CPU, cores',
      description: 'It is one thread and its helpers: at 1, add instances.',
      unit: 'short',
      width: 6,
      queries: { '{{instance}}': rate('process_cpu_seconds_total', 'instance') },
    },
    {
      title: 'Resident memory',
      description: 'Never more than idle + 2 x BUFFER_MAX_BYTES + 48 MB.',
      unit: 'bytes',
      width: 6,
      queries: { '{{instance}}': `process_resident_memory_bytes${ALL}` },
    },
    {
      title: 'Event-loop delay, p99',
      description: 'An idle process shows 10 ms and a little.',
      unit: 's',
      width: 6,
      queries: { '{{instance}}': `nodejs_eventloop_lag_p99_seconds${ALL}` },
    },
    {
      title: 'Connections, share of their limit',
      description: 'At 1 new ones are refused.',
      unit: 'percentunit',
      width: 6,
      queries: { '{{instance}}': `dual_stream_connections${ALL} / dual_stream_connections_limit${ALL}` },
    },
    {
      title: 'Credentials in use are those of their files',
      description: '0: what was read before still holds, see the log.',
      kind: 'state',
      unit: 'short',
      width: 12,
      queries: { '{{setting}} {{instance}}': `dual_stream_credentials_current${ALL}` },
    },
    {
      title: 'Certificates expire in',
      description: 'Of those that this service shows.',
      kind: 'stat',
      unit: 's',
      width: 12,
      queries: {
        '{{setting}} {{instance}}': `dual_stream_certificate_expiry_timestamp_seconds${ALL} - time()`,
      },
    },
  ],
};

const HEIGHT = 8;
const DATASOURCE = { type: 'prometheus', uid: '$datasource' };
const READY = [
  { type: 'value', options: { '0': { text: 'no', color: 'red' }, '1': { text: 'yes', color: 'green' } } },
];

export function dashboardJson(): string {
  const panels: object[] = [];
  let y = 0;
  for (const [title, ofRow] of Object.entries(rows)) {
    const id = () => panels.length + 1;
    panels.push({
      id: id(),
      type: 'row',
      title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: 24, h: 1 },
    });
    y += 1;
    let x = 0;
    for (const panel of ofRow) {
      if (x + panel.width > 24) {
        x = 0;
        y += HEIGHT;
      }
      panels.push({ id: id(), ...panelOf(panel, { x, y, w: panel.width, h: HEIGHT }) });
      x += panel.width;
    }
    y += HEIGHT;
  }
  const dashboard = {
    uid: 'dual-stream',
    title: 'dual-stream',
    tags: ['dual-stream'],
    timezone: 'browser',
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Data source' },
        variable('job', 'label_values(dual_stream_ready, job)'),
        variable('instance', 'label_values(dual_stream_ready{job=~"$job"}, instance)'),
      ],
    },
    panels,
  };
  return `${JSON.stringify(dashboard, undefined, 2)}\n`;
}

function panelOf({ title, description, unit, queries, kind = 'timeseries' }: Panel, gridPos: object): object {
  return {
    type: kind === 'state' ? 'stat' : kind,
    title,
    description,
    gridPos,
    datasource: DATASOURCE,
    fieldConfig: {
      defaults: { unit, min: 0, ...(kind === 'state' && { mappings: READY }) },
      overrides: [],
    },
    ...(kind !== 'timeseries' && { options: { colorMode: kind === 'state' ? 'background' : 'value' } }),
    targets: Object.entries(queries).map(([legendFormat, expr], index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: DATASOURCE,
      expr,
      legendFormat,
    })),
  };
}

function variable(name: string, query: string): object {
  return {
    name,
    type: 'query',
    datasource: DATASOURCE,
    query: { query, refId: name },
    refresh: 2,
    includeAll: true,
    allValue: '.*',
    multi: true,
    current: { text: 'All', value: '$__all' },
  };
}
