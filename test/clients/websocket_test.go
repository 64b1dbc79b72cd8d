//go:build clients

package clients

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// The opcodes of RFC 6455, section 5.2, that the echo knows by name.
const (
	textFrame   = 1
	binaryFrame = 2
	closeFrame  = 8
	pingFrame   = 9
	pongFrame   = 10
)

// frame is one of RFC 6455, unmasked.
type frame struct {
	head    byte // FIN and opcode
	payload []byte
}

func (f frame) opcode() byte { return f.head & 0x0f }

// webSocket sends each frame back. It knows no extension and no subprotocol.
func (u *upstream) webSocket(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		http.Error(w, "this is for WebSocket over HTTP/1.1", http.StatusBadRequest)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // section 1.3
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	if err := rw.Flush(); err != nil {
		return
	}
	u.echo(rw, r)
}

// echo ends with the client's close frame, or its connection.
func (u *upstream) echo(rw *bufio.ReadWriter, r *http.Request) {
	var received [16]int // bytes by the opcode of the message
	var message byte
	for {
		f, err := readFrame(rw.Reader)
		if err != nil {
			u.note(r, fmt.Sprintf("the WebSocket ended without a close frame: %v", err))
			return
		}
		switch opcode := f.opcode(); opcode {
		case closeFrame:
			code := 1005 // none was sent, section 7.1.5
			if len(f.payload) >= 2 {
				code = int(binary.BigEndian.Uint16(f.payload))
			}
			// Before the client can end because of the answer.
			u.note(r, fmt.Sprintf("%d text and %d binary bytes, closed %d", received[textFrame], received[binaryFrame], code))
		case pingFrame:
			f.head += pongFrame - pingFrame
		case pongFrame:
			continue
		case textFrame, binaryFrame:
			message = opcode
			fallthrough
		default: // the continuation of a message
			received[message] += len(f.payload)
		}
		if err := writeFrame(rw.Writer, f); err != nil || f.opcode() == closeFrame {
			return
		}
	}
}

func readFrame(r *bufio.Reader) (frame, error) {
	var start [2]byte
	if _, err := io.ReadFull(r, start[:]); err != nil {
		return frame{}, err
	}
	if start[1]&0x80 == 0 {
		return frame{}, errors.New("a client's frame has to be masked (RFC 6455, section 5.1)")
	}
	size := uint64(start[1] & 0x7f)
	if extended := map[uint64]int{126: 2, 127: 8}[size]; extended > 0 {
		b := make([]byte, 8)
		if _, err := io.ReadFull(r, b[8-extended:]); err != nil {
			return frame{}, err
		}
		size = binary.BigEndian.Uint64(b)
	}
	if size > 1<<20 {
		return frame{}, fmt.Errorf("a frame of %d bytes", size)
	}
	body := make([]byte, 4+size)
	if _, err := io.ReadFull(r, body); err != nil {
		return frame{}, err
	}
	mask, payload := body[:4], body[4:]
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return frame{start[0], payload}, nil
}

func writeFrame(w *bufio.Writer, f frame) error {
	w.WriteByte(f.head)
	switch n := len(f.payload); {
	case n < 126:
		w.WriteByte(byte(n))
	case n <= 0xffff:
		w.Write(binary.BigEndian.AppendUint16([]byte{126}, uint16(n)))
	default:
		w.Write(binary.BigEndian.AppendUint64([]byte{127}, uint64(n)))
	}
	w.Write(f.payload)
	return w.Flush()
}

// checkWebSocket: both messages went there and back, and the close frame too.
func checkWebSocket(o outcome) error {
	const want = "21 text and 100000 binary bytes, closed 1000"
	for _, r := range o.requests {
		if r.note != want {
			return fmt.Errorf("%s: the upstream saw %q, want %q", r, r.note, want)
		}
	}
	for _, text := range []string{"hello-from-the-client", "closed 1000"} {
		if !strings.Contains(string(o.output), text) {
			return fmt.Errorf("the client did not print %q", text)
		}
	}
	return nil
}
