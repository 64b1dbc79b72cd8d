# The image of keybearer: one static program and the roots of public upstreams.
#
#   docker build --tag keybearer .
#   docker run --rm keybearer version
#
# It runs as user 65532 and writes to two places alone: /var/lib/keybearer, for the
# key of the authority, and /run/keybearer, for the certificates that clients need.
# Mount a volume on the second in the app's container, too, read-only; never the
# first. The configuration is looked for in /etc/keybearer/keybearer.yaml.
FROM golang:1.26-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/keybearer . && mkdir /out/empty

# A stage of its own, so that test/containers builds it without the one above: it
# gives another directory the name build.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/keybearer /usr/bin/keybearer
COPY --from=build --chown=65532:65532 /out/empty/ /var/lib/keybearer/
COPY --from=build --chown=65532:65532 /out/empty/ /run/keybearer/
ENV KEYBEARER_CONFIG=/etc/keybearer/keybearer.yaml \
    KEYBEARER_CA_DIR=/var/lib/keybearer/ca \
    KEYBEARER_CLIENT_DIR=/run/keybearer
USER 65532:65532
EXPOSE 3128

# Without a shell, and without a line in the log. Whoever gives serve another
# address does so by KEYBEARER_LISTEN or in the configuration: a flag of serve is
# not seen by this.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["/usr/bin/keybearer", "healthcheck"]
ENTRYPOINT ["/usr/bin/keybearer"]
CMD ["serve"]
