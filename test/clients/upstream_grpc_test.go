//go:build clients

package clients

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// grpcPath is in front of the methods. Their messages are plain bytes, so that a
// client needs no generated code.
const grpcPath = "/keybearer.test.Service/"

// grpc serves the methods over net/http: what gRPC is on the wire, and no more.
// grpc-go's server is that of TestGRPCInterop.
func (u *upstream) grpc(w http.ResponseWriter, r *http.Request) {
	answer := w.Header().Get("X-Answer")
	w.Header().Set("Content-Type", "application/grpc")
	call := grpcCall{w}
	request := &grpcMessages{r: r.Body}
	var err error
	switch strings.TrimPrefix(r.URL.Path, grpcPath) {
	case "Echo":
		var hello []byte
		if hello, err = io.ReadAll(request); err == nil {
			call.send(fmt.Appendf(nil, "%s, %s", hello, r.UserAgent()))
		}
	case "Upload":
		var data []byte
		if data, err = io.ReadAll(request); err == nil && !bytes.Equal(data, uploadData) {
			err = fmt.Errorf("%d bytes came of %d, or others", len(data), len(uploadData))
		}
		call.send([]byte(answer))
	case "LargeUpload":
		err = u.large.same(request)
		call.send([]byte(answer))
	case "Download":
		err = call.sendAll(bytes.NewReader(downloadData))
	case "LargeDownload":
		u.silent(r)
		err = call.sendFile(u.large.path)
	case "Stream":
		u.grpcStream(call, r, answer)
	case "Gzip":
		err = u.grpcGzip(call, r, answer)
	case "Trailers":
		w.Header().Set(http.TrailerPrefix+lastWord, "the end of "+answer)
		err = errors.New("an error, on purpose: 100% ☺")
	case "Forever":
		u.grpcForever(call, r, answer)
	default:
		err = fmt.Errorf("there is no method %s", r.URL.Path)
	}
	call.end(err)
}

// grpcCall is the server's side of a call.
type grpcCall struct{ w http.ResponseWriter }

func (c grpcCall) send(message []byte) { c.write(0, message) }

// write sends a message at once. The flag says whether it is compressed.
func (c grpcCall) write(flag byte, message []byte) {
	head := binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(message)))
	c.w.Write(append(head, message...))
	http.NewResponseController(c.w).Flush()
}

func (c grpcCall) sendAll(r io.Reader) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			c.send(buf[:n])
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (c grpcCall) sendFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return c.sendAll(f)
}

// end sends the status: OK, or UNKNOWN with the error's text.
func (c grpcCall) end(err error) {
	code := 0
	if err != nil {
		code = 2
		c.w.Header().Set(http.TrailerPrefix+"Grpc-Message", percent(err.Error()))
	}
	c.w.Header().Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(code))
}

// percent is how a message's text travels: gRPC over HTTP/2, "Responses".
func percent(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// grpcMessages reads the messages of a stream as one text.
type grpcMessages struct {
	r    io.Reader
	left int // bytes of the message at hand
}

func (m *grpcMessages) Read(p []byte) (int, error) {
	for m.left == 0 {
		var head [5]byte
		if _, err := io.ReadFull(m.r, head[:]); err != nil {
			return 0, err
		}
		m.left = int(binary.BigEndian.Uint32(head[1:]))
	}
	n, err := m.r.Read(p[:min(len(p), m.left)])
	m.left -= n
	if err == io.EOF && m.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// grpcStream is stream in messages.
func (u *upstream) grpcStream(call grpcCall, r *http.Request, answer string) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	u.silent(r) // each of its messages has been seen
	for n := range 5 {
		text := fmt.Sprintf("message %d of %s", n+1, answer)
		call.send([]byte(text))
		if err := u.printed(ctx, text); err != nil {
			u.note(r, fmt.Sprintf("the client did not print %q of what was sent: %v", text, err))
			panic(http.ErrAbortHandler) // nor shall it see the end
		}
	}
	u.note(r, streamed)
}

// grpcGzip sends a compressed message to who takes one.
func (u *upstream) grpcGzip(call grpcCall, r *http.Request, answer string) error {
	if !strings.Contains(r.Header.Get("Grpc-Accept-Encoding"), "gzip") {
		return errors.New("the call accepts no gzip")
	}
	u.note(r, zipped)
	call.w.Header().Set("Grpc-Encoding", "gzip")
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprintf(z, "decoded %s\n", answer)
	z.Close()
	call.write(1, b.Bytes())
	return nil
}

// grpcForever is forever in messages.
func (u *upstream) grpcForever(call grpcCall, r *http.Request, answer string) {
	text := "message 1 of " + answer
	u.shows(r, text)
	call.send([]byte(text))
	u.awaitHangUp(r)
}
