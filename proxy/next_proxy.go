package proxy

import (
	"net"
	"net/http"
	"slices"

	"keybearer/proxy/http1"
)

// nextProxy is what a connection to the proxy itself needs to know for requests in
// absolute form.
type nextProxy struct {
	proxy  *UpstreamProxy
	fields http1.Header
	secret []string // what of the fields must not come back to the client
}

// authorization is the field that the proxy wants, if any.
func (v *UpstreamProxy) authorization() (*nextProxy, error) {
	next := &nextProxy{proxy: v}
	if v.Credentials == nil {
		return next, nil
	}
	x := expansion{owner: "upstream_proxy", lookup: v.Lookup}
	value, parts := x.expand(*v.Credentials)
	if err := x.err(); err != nil {
		return nil, err
	}
	next.fields = http1.Header{{Name: "Proxy-Authorization", Value: value}}
	next.secret = append(parts, value)
	return next, nil
}

// ConnectHeader returns what the proxy wants in a CONNECT, for an http.Transport that
// is to use it too.
func (v *UpstreamProxy) ConnectHeader() (http.Header, error) {
	next, err := v.authorization()
	if err != nil {
		return nil, err
	}
	h := make(http.Header)
	for _, f := range next.fields {
		h.Set(f.Name, f.Value)
	}
	return h, nil
}

// appendRequest appends a request head in the form that the other end takes.
func (up *upstream) appendRequest(dst []byte, req *http1.Request, authority string) []byte {
	if up.via == nil {
		return req.Append(dst)
	}
	absolute := *req
	absolute.Target = "http://" + authority + req.Target
	absolute.Header = slices.Clone(req.Header)
	if len(up.via.secret) > 0 { // a compressed response could not be searched
		absolute.Header.Remove(isAcceptEncoding)
		absolute.Header = append(absolute.Header, http1.Field{Name: "Accept-Encoding", Value: "identity"})
	}
	absolute.Header = append(absolute.Header, up.via.fields...)
	return absolute.Append(dst)
}

// refuses reports whether a response is the upstream proxy's refusal: a 407 can be
// nobody else's, and the client does not know of that proxy.
func (up *upstream) refuses(status int) bool { return up.via != nil && status == 407 }

// resumed is a connection of which something has been read already.
type resumed struct {
	net.Conn
	rest []byte
}

// Read implements net.Conn.
func (c *resumed) Read(b []byte) (int, error) {
	if len(c.rest) > 0 {
		n := copy(b, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// CloseWrite passes on the end of what is written.
func (c *resumed) CloseWrite() error { return (&wire{conn: c.Conn}).closeWrite() }

// NetConn returns what is below, as that of a TLS connection does.
func (c *resumed) NetConn() net.Conn { return c.Conn }

// bottom returns the socket under a connection.
func bottom(conn net.Conn) net.Conn {
	for {
		above, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = above.NetConn()
	}
}
