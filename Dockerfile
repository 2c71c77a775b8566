ARG NODE_IMAGE=node:26.10.0-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
# Not set: npm's own.
ARG NPM_CONFIG_REGISTRY
COPY package.json package-lock.json ./
# With the optional packages: the TypeScript compiler for this system is one of them.
RUN npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier
COPY tsconfig.json tsconfig.build.json ./
COPY src src
# What packages carry and no program reads at run time is a third of them.
RUN node_modules/.bin/tsc -p tsconfig.build.json --sourceMap false \
  && npm prune --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund --no-update-notifier \
  && find node_modules -type d \( -name .github -o -name test -o -name tests -o -name docs -o -name examples \
     -o -name benchmark -o -name benchmarks \) -prune -exec rm -r {} + \
  && find node_modules -type f \( -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' \) -delete

FROM ${NODE_IMAGE}
# Nothing is installed at run time: no package manager, so that nobody has to patch one either.
RUN rm -rf /usr/local/lib/node_modules /opt/yarn-* \
  /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn /usr/local/bin/yarnpkg
WORKDIR /app
COPY package.json LICENSE ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=8080 \
    MANAGEMENT_PORT=9090
USER 65534:65534
# Of the service. The other programs are told their ports: MANAGEMENT_PORT is where each is asked whether it lives.
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:'+(process.env.MANAGEMENT_PORT||process.env.PORT)+'/livez').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"]
# Three programs: what is not started by these words is dist/processor/server.js or dist/query/server.js, with the first flag alone,
# because the other two are for many events a second that live as long as Kafka takes.
# No shell in between: the service is process 1, hears SIGTERM itself, and starts no process that could be left to it.
ENTRYPOINT []
CMD ["node", "--disable-warning=TimeoutNegativeWarning", "--max-semi-space-size=16", "--no-allocation-site-pretenuring", "dist/ingest/server.js"]
# Last, because they differ with every build.
ARG NODE_IMAGE
ARG SOURCE
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="dual-stream" \
      org.opencontainers.image.description="HTTP ingestion: every event durable in Kafka before the answer, Redis subscribers told at once" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${NODE_IMAGE}"
