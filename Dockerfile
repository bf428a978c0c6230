# panamax in a container: workers, enqueue and every other command.
FROM node:24-slim AS build
WORKDIR /panamax
COPY package.json package-lock.json ./
# the development dependency "node" is what this image is
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY bin bin
COPY lib lib
COPY producers producers
COPY workers workers
RUN node node_modules/typescript/bin/tsc -p tsconfig.build.json && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /panamax
COPY --from=build /panamax/package.json ./
COPY --from=build /panamax/node_modules node_modules
COPY --from=build /panamax/dist dist
# jobs of CI systems call it by its name
RUN chmod +x dist/bin/panamax.js && ln -s /panamax/dist/bin/panamax.js /usr/local/bin/panamax && mkdir /scratch && chown node: /scratch
USER node
ENTRYPOINT ["panamax"]
CMD ["--help"]
