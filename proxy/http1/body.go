package http1

import (
	"bytes"
	"strconv"
)

// Decoder finds the content of one body in the bytes that follow a head. The
// zero value is the decoder of an empty body.
type Decoder struct {
	Trailer Header // once Done, the trailer section of a chunked body

	kind  Kind
	state state
	left  int64 // bytes of content until the end of the body or of the chunk
}

type state uint8

const (
	done state = iota
	inContent
	inSize    // before a chunk size line
	inEnd     // before the CRLF behind a chunk
	inTrailer // before the trailer section
)

// Start makes the decoder ready for a body framed that way.
func (d *Decoder) Start(f Framing) {
	*d = Decoder{Trailer: d.Trailer[:0], kind: f.Kind, left: f.Length}
	switch {
	case f.Kind == Chunked:
		d.state = inSize
	case f.Kind == UntilClose, f.Kind == Length && f.Length > 0:
		d.state = inContent
	}
}

// Done reports whether the whole body has been decoded. A body framed by
// [UntilClose] is done only once [Decoder.Close] was called.
func (d *Decoder) Done() bool { return d.state == done }

// Close says that the connection ended. It reports whether the body may end
// there.
func (d *Decoder) Close() bool {
	if d.kind == UntilClose {
		d.state = done
	}
	return d.state == done
}

// Next decodes from the bytes received and not yet consumed. It returns the next
// piece of content, which is part of b and may be empty, and how many bytes of b
// are used up. When it consumes nothing and is not Done, it needs more bytes;
// it never needs more than 8 KiB to make progress.
func (d *Decoder) Next(b []byte) (content []byte, n int, err error) {
	for {
		switch d.state {
		case done:
			return nil, n, nil
		case inContent:
			content = d.content(b[n:])
			return content, n + len(content), nil
		}
		used, err := d.frame(b[n:])
		if used == 0 || err != nil {
			return nil, n, err
		}
		n += used
	}
}

func (d *Decoder) content(b []byte) []byte {
	if d.kind == UntilClose {
		return b
	}
	if int64(len(b)) > d.left {
		b = b[:d.left]
	}
	d.left -= int64(len(b))
	if d.left == 0 {
		if d.state = done; d.kind == Chunked {
			d.state = inEnd
		}
	}
	return b
}

// frame consumes one piece of chunked framing.
func (d *Decoder) frame(b []byte) (int, error) {
	switch d.state {
	case inSize:
		return d.size(b)
	case inEnd:
		return d.end(b)
	default:
		return d.trailer(b)
	}
}

// A limit holds for the bytes of the message, not for those that happen to have
// arrived: the same body must not pass or fail by how it was cut into packets.
const (
	maxChunkLine = 4 << 10 // bytes of a chunk size line with its extensions
	maxTrailer   = 8 << 10 // bytes of a trailer section
)

func (d *Decoder) size(b []byte) (int, error) {
	b = b[:min(len(b), maxChunkLine)]
	lf := bytes.IndexByte(b, '\n')
	if lf < 0 {
		if len(b) == maxChunkLine {
			return 0, errChunkLine
		}
		return 0, nil
	}
	if lf == 0 || b[lf-1] != '\r' {
		return 0, errBareLF
	}
	line, ext, _ := bytes.Cut(b[:lf-1], []byte(";"))
	for _, c := range ext {
		if isControl[c] {
			return 0, errChunkSize
		}
	}
	size, ok := parseHex(line)
	if !ok {
		return 0, errChunkSize
	}
	d.left, d.state = size, inContent
	if size == 0 {
		d.state = inTrailer
	}
	return lf + 1, nil
}

// parseHex reads a chunk size: hexadecimal digits, no sign, no prefix, below
// 2^60.
func parseHex(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		switch c = lower(c); {
		case '0' <= c && c <= '9':
			n = n<<4 | int64(c-'0')
		case 'a' <= c && c <= 'f':
			n = n<<4 | int64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

func (d *Decoder) end(b []byte) (int, error) {
	if !bytes.HasPrefix(b, crlf) {
		if bytes.HasPrefix(crlf, b) {
			return 0, nil
		}
		return 0, errChunkEnd
	}
	d.state = inSize
	return len(crlf), nil
}

func (d *Decoder) trailer(b []byte) (int, error) {
	if bytes.HasPrefix(b, crlf) {
		d.state = done
		return len(crlf), nil
	}
	b = b[:min(len(b), maxTrailer)]
	n, err := headLength(b, 0)
	if n == 0 {
		if err == nil && len(b) == maxTrailer {
			err = errTrailer
		}
		return 0, err
	}
	if err := d.Trailer.parse(string(b[:n])); err != nil {
		return 0, err
	}
	for _, f := range d.Trailer {
		if framesMessage(f.Name) {
			return 0, errTrailerField
		}
	}
	d.state = done
	return n, nil
}

// framesMessage reports whether a field decides on framing or routing, so that a
// recipient who merged it from a trailer section would read another message (RFC
// 9110 section 6.5.1).
func framesMessage(name string) bool {
	return equalFold(name, "Transfer-Encoding") || equalFold(name, "Content-Length") ||
		equalFold(name, "Host") || equalFold(name, "Trailer") || equalFold(name, "Connection")
}

// AppendChunk appends content as one chunk. Empty content appends nothing, since
// an empty chunk would end the body.
func AppendChunk(dst, content []byte) []byte {
	if len(content) == 0 {
		return dst
	}
	dst = strconv.AppendInt(dst, int64(len(content)), 16)
	dst = append(dst, "\r\n"...)
	dst = append(dst, content...)
	return append(dst, "\r\n"...)
}

// AppendTrailer ends a chunked body, with the fields as its trailer section.
func AppendTrailer(dst []byte, trailer Header) []byte {
	dst = append(dst, "0\r\n"...)
	dst = trailer.Append(dst)
	return append(dst, "\r\n"...)
}
