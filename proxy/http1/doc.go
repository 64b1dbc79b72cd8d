// Package http1 is a strict HTTP/1.1 codec: bytes in, values out. It has no
// sockets and no policy.
//
// A proxy that changes requests must never disagree with its neighbours on where
// a message begins and ends: that disagreement is request smuggling. The codec
// therefore accepts only messages that every recipient reads alike, and writes
// what it understood instead of copying what it was sent:
//
//   - Lines end in CRLF. A bare CR or LF, a NUL, a folded line or a space
//     before a colon is an error (RFC 9112 sections 2.2, 5.1, 5.2).
//   - A body is framed by exactly one Content-Length or by exactly one
//     "Transfer-Encoding: chunked", never both, and never by a transfer coding
//     in HTTP/1.0 (RFC 9112 section 6).
//   - Chunk extensions are read and dropped; trailers are kept, but not those
//     that would change the framing (RFC 9110 section 6.5.1).
//
// What is well formed passes unchanged: the order, the case and the spelling of
// the fields, and every byte of the request target.
//
// # Use
//
// Collect bytes until [RequestLength] or [ResponseLength] says how long the head
// is, hand the head to Parse, ask the message for its [Framing], and feed a
// [Decoder] with the bytes behind the head until it is done. Append writes a
// head, [AppendChunk] and [AppendTrailer] write a chunked body.
//
// Strings in a parsed message share the memory of the head that was parsed.
// Nothing in this package is safe for concurrent use.
package http1

// Error says why bytes are not an HTTP/1.1 message. The text is fixed: it never
// holds a byte of the message, so it can be shown to anyone.
type Error string

func (e Error) Error() string { return "malformed HTTP/1.1 message: " + string(e) }

// MaxFields is the highest number of fields in one head or one trailer section.
const MaxFields = 200

// ErrTooManyFields says that there are more. It is an Error like the others, and
// has a status of its own (RFC 6585 section 5).
const ErrTooManyFields = Error("more than 200 fields")

const (
	errBareLF       = Error("line does not end in CRLF")
	errRequestLine  = Error("request line is not METHOD SP TARGET SP HTTP/1.1")
	errStatusLine   = Error("status line is not HTTP/1.1 SP STATUS SP REASON")
	errFieldName    = Error("field name is not a token directly followed by a colon")
	errFieldValue   = Error("field value has a control character")
	errFolded       = Error("folded field line")
	errLength       = Error("Content-Length is not one decimal number")
	errCoding       = Error("Transfer-Encoding is not just chunked")
	errBothFramings = Error("Content-Length beside Transfer-Encoding")
	errOldCoding    = Error("Transfer-Encoding in HTTP/1.0")
	errChunkSize    = Error("chunk size is not a hexadecimal number")
	errChunkEnd     = Error("chunk does not end in CRLF")
	errChunkLine    = Error("chunk size line is too long")
	errTrailer      = Error("trailer section is too long")
	errTrailerField = Error("trailer field that belongs in the head")
)
