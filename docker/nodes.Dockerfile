# syntax=docker/dockerfile:1
# Nodes of foreign chains for docker/compose.yml, without root and with folders that their users own. For trials: whoever
# secures value builds or verifies Bitcoin Core himself.

FROM debian:12.11-slim AS bitcoind
# The image checks its binaries against Bitcoin Core's signatures when it is built.
COPY --from=bitcoin/bitcoin:29.2 /opt/bitcoin-29.2/bin/bitcoind /opt/bitcoin-29.2/bin/bitcoin-cli /usr/local/bin/
# The cookie is for the group 10001: Grid's user.
RUN groupadd --system --gid 10001 grid \
 && useradd --system --uid 10002 --gid 10001 --home-dir /var/lib/bitcoind --create-home bitcoin \
 && install -d -o 10002 -g 10001 -m 2750 /run/bitcoind
USER 10002:10001
VOLUME /var/lib/bitcoind
STOPSIGNAL SIGTERM
ENTRYPOINT ["bitcoind"]

FROM ghcr.io/foundry-rs/foundry:v1.7.1 AS anvil
USER root
RUN install -d -o 10003 -g 10003 /var/lib/anvil
ENV HOME=/var/lib/anvil
USER 10003:10003
VOLUME /var/lib/anvil
STOPSIGNAL SIGTERM
ENTRYPOINT ["anvil"]
