package proxy

import "time"

// The limits of DESIGN 8: what one client may take of memory and time.
const (
	outerHeadLimit = 16 << 10 // bytes of a request head to the proxy itself
	innerHeadLimit = 64 << 10 // bytes of a head inside an intercepted connection

	headTimeout      = 10 * time.Second // from its first byte to the end of a head
	handshakeTimeout = 10 * time.Second // ClientHello and TLS handshake, either side
	dialTimeout      = 10 * time.Second
	responseTimeout  = 15 * time.Minute // until the response head; LLM calls are slow
	idleTimeout      = 90 * time.Second // between two requests, either side
	never            = 10 * 365 * 24 * time.Hour
	streamTimeout    = 15 * time.Minute // without a byte, in a body or a tunnel
	lingerTimeout    = 2 * time.Second  // reading on, so that a refusal is not lost in a reset
	turnAwayTimeout  = 200 * time.Millisecond

	mintRate       = 100  // leaves a second for new hosts of one client
	mintBurst      = 1000 // leaves at once
	maxMintClients = 4096 // clients whose rate is remembered
	maxHandshakes  = 2048 // targets and protocols whose TLS configuration is kept

	maxSplices = 64 // directions of tunnels that hold a pipe

	maxIdlePerKey = 64   // upstream connections kept for one client and target
	maxIdle       = 1024 // upstream connections kept in all
	maxSessions   = 1024 // TLS sessions with upstreams, of each client certificate and of none
	maxRemembered = 4096 // targets whose protocol is remembered
	rememberTime  = 10 * time.Minute

	maxStreams   = 250       // HTTP/2 streams of one client connection
	maxFrame     = 16 << 10  // bytes of one HTTP/2 frame from a client
	streamWindow = 512 << 10 // bytes of an HTTP/2 response that wait for a client that does not read

	uploadWindow  = 256 << 10 // bytes of an HTTP/2 request that wait for an upstream that does not read
	uploadWindows = 4<<20 - 1 // of all requests of a client connection; the most that net/http takes

	// Servers of gRPC end a connection that is pinged more often than every five
	// minutes (GOAWAY, too_many_pings).
	pingInterval = 6 * time.Minute
	pingTimeout  = 15 * time.Second
	// Until the ping tells, a connection that has left a request without any sign of life
	// for so long gets no other.
	silentTimeout = 30 * time.Second
)

const (
	// signedSize is how many bytes of one request are held back to sign it for AWS: of
	// a body whose hash the client has not sent, or of a chunk. AWS's own limits for
	// bodies are below it but for storage, whose clients do send it.
	signedSize = 32 << 20
	// shownSize is how many bytes of a request's body a callback is shown, and shownTime how
	// long it waits for them: a stream that waits for its answer sends no more.
	shownSize = 1 << 20
	shownTime = 10 * time.Second
	// askSize is what it takes to ask a callback about a request without a body and with a
	// head of no length: a connection, its goroutines and buffers.
	askSize = 64 << 10
	// maxQuestions is how many requests of one client callbacks are asked about at a time,
	// and askTimeout how long others of its requests wait for that.
	maxQuestions = 64
	askTimeout   = 10 * time.Second
	// heldSizes is how many bytes of all requests are held back at a time; a chunk counts a
	// second time when it is signed and waits to be sent. See reserve.
	heldSizes = 256 << 20
)
