package sigv4

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
)

// Chunks signs the chunks of a body anew (aws-chunked), each with a signature that
// follows from the one before it. Lengths and everything between the signatures stay
// as the client has written them. A signature stands before what it is of, so that a
// whole chunk has to be held back.
type Chunks struct {
	signed   *Signed
	limit    int
	trailers bool
	last     string // the signature before

	held    []byte // of a chunk, from its first byte on
	head    int    // length of its first line; 0 until it is there
	size    int    // of its data
	ended   bool   // the last chunk, which is empty, has passed
	trailer strings.Builder
	whole   bool // the signature of the trailers has passed
}

// Chunks returns what signs the chunks of the body, none of which may have more than
// limit bytes.
func (s *Signed) Chunks(limit int) *Chunks {
	return &Chunks{signed: s, limit: limit, last: s.seed, trailers: s.payload == trailerPayload}
}

// Held is how many bytes are held back.
func (c *Chunks) Held() int { return cap(c.held) }

const notChunks = Error("its body is not made of signed chunks, as its head says")

// maxLine bounds the first line of a chunk, and each line behind the last.
const maxLine = 4 << 10

// Write takes a piece of the body, and appends what is ready to be sent to dst.
func (c *Chunks) Write(dst, piece []byte) ([]byte, error) {
	for len(piece) > 0 {
		n := len(piece)
		switch {
		case c.head == 0: // up to the end of the line
			if end := bytes.IndexByte(piece, '\n'); end >= 0 {
				n = end + 1
			}
			if len(c.held)+n > maxLine {
				return dst, notChunks
			}
		default:
			n = min(n, c.head+c.size+len("\r\n")-len(c.held))
		}
		c.held = append(c.held, piece[:n]...)
		piece = piece[n:]
		var err error
		if dst, err = c.advance(dst); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// Close says whether the body has ended where it may.
func (c *Chunks) Close() error {
	if !c.ended || len(c.held) > 0 || c.trailers && !c.whole {
		return notChunks
	}
	return nil
}

// advance does what can be done with what is held.
func (c *Chunks) advance(dst []byte) ([]byte, error) {
	line := bytes.HasSuffix(c.held, []byte("\n"))
	switch {
	case c.head == 0 && !line:
		return dst, nil
	case c.ended:
		return c.tail(dst)
	case c.head == 0:
		if err := c.begin(); err != nil || c.size > 0 {
			return dst, err
		}
		c.ended = true
		return c.pass(dst, c.sign(nil)), nil
	case len(c.held) < c.head+c.size+len("\r\n"):
		return dst, nil
	case !bytes.HasSuffix(c.held, []byte("\r\n")):
		return dst, notChunks
	}
	return c.pass(dst, c.sign(c.held[c.head:c.head+c.size])), nil
}

const chunkSignature = ";chunk-signature="

// begin reads the first line of a chunk.
func (c *Chunks) begin() error {
	size, signature, ok := strings.Cut(strings.TrimSuffix(string(c.held), "\r\n"), chunkSignature)
	n, err := strconv.ParseUint(size, 16, 31)
	switch {
	case !ok || err != nil || !isHash.MatchString(signature):
		return notChunks
	case int(n) > c.limit:
		return Error("a chunk of its body has more than " + strconv.Itoa(c.limit>>20) + " MiB, which have to be held back to sign it")
	}
	c.head, c.size = len(c.held), int(n)
	return nil
}

// sign returns the signature of a chunk.
func (c *Chunks) sign(data []byte) string {
	s := c.signed
	return c.chain("AWS4-HMAC-SHA256-PAYLOAD\n" + s.date + "\n" + s.scope.String() + "\n" + c.last + "\n" + Hash(nil) + "\n" + Hash(data))
}

func (c *Chunks) chain(text string) string {
	c.last = hex.EncodeToString(mac(c.signed.key, text))
	return c.last
}

// pass appends what is held to dst, with another signature at the end of its first
// line.
func (c *Chunks) pass(dst []byte, signature string) []byte {
	end := bytes.IndexByte(c.held, '\n') + 1
	line := bytes.TrimRight(c.held[:end], "\r\n")
	dst = append(dst, line[:len(line)-len(signature)]...)
	dst = append(dst, signature...)
	dst = append(dst, c.held[len(line):]...)
	c.held, c.head, c.size = c.held[:0], 0, 0
	return dst
}

const trailerSignature = "x-amz-trailer-signature:"

// tail passes a line behind the last chunk: an empty one, a trailer, or the signature
// of all trailers.
func (c *Chunks) tail(dst []byte) ([]byte, error) {
	s := c.signed
	line := strings.TrimRight(string(c.held), "\r\n")
	signature, last := strings.CutPrefix(line, trailerSignature)
	switch {
	case last && (!c.trailers || c.whole || !isHash.MatchString(signature)), line != "" && (!c.trailers || c.whole):
		return dst, notChunks
	case last:
		c.whole = true
		return c.pass(dst, c.chain("AWS4-HMAC-SHA256-TRAILER\n"+s.date+"\n"+s.scope.String()+"\n"+c.last+"\n"+Hash([]byte(c.trailer.String())))), nil
	case line != "":
		name, value, ok := strings.Cut(line, ":")
		if !ok || c.trailer.Len() > maxLine {
			return dst, notChunks
		}
		c.trailer.WriteString(strings.ToLower(name) + ":" + strings.TrimSpace(value) + "\n")
	}
	dst = append(dst, c.held...)
	c.held = c.held[:0]
	return dst, nil
}
