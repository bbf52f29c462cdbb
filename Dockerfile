# The image of the node agent, for amd64 and arm64:
#
#     docker build -t podfence:dev .
#     docker buildx build --platform linux/amd64,linux/arm64 -t REGISTRY/podfence:0.1.0 --push .
#
# Nothing of the target is executed before the last stage, so that a build for another architecture emulates only its apt-get.
# test/deploy/dockerfile-steps.mjs carries these steps out without a container engine.

# The compiled program. Whatever npm puts here stays here.
FROM --platform=$BUILDPLATFORM node:24-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN node_modules/.bin/tsc -p tsconfig.build.json --declaration false \
 && chmod 755 dist/cli.js

# The packages that it runs with: native code for the target only, and without what only compilers and editors read. `cap`, which
# captures, comes as source: a compiler for the target builds it here, against the target's libpcap and the headers of this Node.
FROM --platform=$BUILDPLATFORM node:24-bookworm-slim AS packages
ARG TARGETARCH
WORKDIR /build
RUN case "$TARGETARCH" in \
      amd64) compiler=g++-x86-64-linux-gnu ;; \
      arm64) compiler=g++-aarch64-linux-gnu ;; \
      *) echo "there is no podfence for $TARGETARCH" >&2; exit 1 ;; \
    esac \
 && dpkg --add-architecture $TARGETARCH \
 && apt-get update \
 && apt-get install -y --no-install-recommends make python3 $compiler libpcap-dev:$TARGETARCH
COPY package.json package-lock.json .npmrc ./
RUN case "$TARGETARCH" in \
      amd64) cpu=x64 target=x86_64-linux-gnu ;; \
      arm64) cpu=arm64 target=aarch64-linux-gnu ;; \
    esac \
 && npm ci --omit=dev --ignore-scripts --os=linux --cpu=$cpu --libc=glibc --no-audit --no-fund --loglevel=error \
 && CC=$target-gcc CXX=$target-g++ npm_config_arch=$cpu npm_config_nodedir=/usr/local \
      npm rebuild cap --ignore-scripts=false --loglevel=error \
 && mv node_modules/cap/build/Release/cap.node /tmp/cap.node \
 && rm -rf node_modules/cap/build node_modules/cap/deps node_modules/cap/src node_modules/cap/test node_modules/nan \
 && mkdir -p node_modules/cap/build/Release \
 && mv /tmp/cap.node node_modules/cap/build/Release/ \
 && find node_modules -type f \
      \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' \
      -o -name '*.cc' -o -name '*.hh' -o -name '*.h' -o -name '*.inc' -o -name '*.asm' -o -name '*.S' \) -delete \
 && rm -rf node_modules/@koromix/*/musl_* node_modules/@types node_modules/.package-lock.json \
 && find node_modules -type d -empty -delete

# The Node of the target. Of this image only one file is taken.
FROM node:24-bookworm-slim AS node

# Debian 12, what the official Node image stands on: its nft, iptables and ipset are the versions that the tests run with. Node comes
# as the one binary that it is; npm, the headers and yarn of the Node image would be twice its size, and to delete them in a layer on top
# would make nothing smaller.
FROM debian:bookworm-slim
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="podfence" \
      org.opencontainers.image.description="A node agent that enforces Kubernetes NetworkPolicy in userspace" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
# nftables or iptables with ipset: steering, by what the node's kernel takes. libpcap: audit capture. libstdc++: Node.
RUN apt-get update \
 && apt-get install -y --no-install-recommends nftables iptables ipset libpcap0.8 libstdc++6 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log \
      /usr/share/doc/* /usr/share/man/* \
 && ln -s /opt/podfence/dist/cli.js /usr/local/bin/podfence
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY LICENSE package.json /opt/podfence/
COPY examples /opt/podfence/examples
COPY --from=packages /build/node_modules /opt/podfence/node_modules
COPY --from=build /build/dist /opt/podfence/dist
ENV NODE_ENV=production
# Root, for Kubernetes gives added capabilities to no other user. The DaemonSet takes all but NET_ADMIN and NET_RAW away.
USER 0:0
# Metrics and health.
EXPOSE 9464
ENTRYPOINT ["podfence"]
