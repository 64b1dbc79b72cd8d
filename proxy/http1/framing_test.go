package http1

import "testing"

func TestRequestFraming(t *testing.T) {
	const te, cl = "Transfer-Encoding", "Content-Length"
	chunked := Framing{Kind: Chunked}
	tests := []struct {
		name   string
		minor  int
		header Header
		want   Framing
		err    error
	}{
		{"nothing", 1, nil, Framing{}, nil},
		{"nothing in 1.0", 0, nil, Framing{}, nil},
		{"length", 1, Header{{cl, "5"}}, Framing{Length, 5}, nil},
		{"length in 1.0", 0, Header{{"content-length", "5"}}, Framing{Length, 5}, nil},
		{"length zero", 1, Header{{cl, "0"}}, Framing{Length, 0}, nil},
		{"decimal whatever it looks like", 1, Header{{cl, "010"}}, Framing{Length, 10}, nil},
		{"largest length", 1, Header{{cl, "9223372036854775807"}}, Framing{Length, 1<<63 - 1}, nil},
		{"chunked", 1, Header{{te, "chunked"}}, chunked, nil},
		{"chunked, any case", 1, Header{{"TRANSFER-encoding", "Chunked"}}, chunked, nil},
		{"neighbours in name", 1, Header{{"Content-Lengt", "5"}, {"Content_Length", "6"}, {"X-" + te, "chunked"}}, Framing{}, nil},

		{"CL.TE", 1, Header{{cl, "5"}, {te, "chunked"}}, Framing{}, errBothFramings},
		{"TE.CL", 1, Header{{te, "chunked"}, {cl, "5"}}, Framing{}, errBothFramings},
		{"CL and TE in 1.0", 0, Header{{cl, "5"}, {te, "chunked"}}, Framing{}, errBothFramings},
		{"CL and identity", 1, Header{{cl, "5"}, {te, "identity"}}, Framing{}, errBothFramings},
		{"CL and empty TE", 1, Header{{te, ""}, {cl, "5"}}, Framing{}, errBothFramings},
		{"CL.CL differ", 1, Header{{cl, "5"}, {cl, "6"}}, Framing{}, errLength},
		{"CL.CL agree", 1, Header{{cl, "5"}, {"content-length", "5"}}, Framing{}, errLength},
		{"CL list", 1, Header{{cl, "5, 5"}}, Framing{}, errLength},
		{"TE in 1.0", 0, Header{{te, "chunked"}}, Framing{}, errOldCoding},
		{"TE.TE", 1, Header{{te, "chunked"}, {te, "chunked"}}, Framing{}, errCoding},
		{"TE.TE, one unknown", 1, Header{{te, "chunked"}, {te, "x"}}, Framing{}, errCoding},
		{"chunked twice", 1, Header{{te, "chunked, chunked"}}, Framing{}, errCoding},
		{"other coding first", 1, Header{{te, "gzip, chunked"}}, Framing{}, errCoding},
		{"other coding last", 1, Header{{te, "chunked, identity"}}, Framing{}, errCoding},
		{"other coding alone", 1, Header{{te, "gzip"}}, Framing{}, errCoding},
		{"identity", 1, Header{{te, "identity"}}, Framing{}, errCoding},
		{"empty TE", 1, Header{{te, ""}}, Framing{}, errCoding},
		{"list with an empty element", 1, Header{{te, ",chunked"}}, Framing{}, errCoding},
		{"quoted", 1, Header{{te, `"chunked"`}}, Framing{}, errCoding},
		{"parameter", 1, Header{{te, "chunked;q=1"}}, Framing{}, errCoding},
		{"prefix", 1, Header{{te, "xchunked"}}, Framing{}, errCoding},
		{"suffix", 1, Header{{te, "chunkedx"}}, Framing{}, errCoding},
		{"Unicode fold", 1, Header{{te, "chun\u212aed"}}, Framing{}, errCoding},
		{"Unicode space", 1, Header{{te, "\u00a0chunked"}}, Framing{}, errCoding},

		{"empty length", 1, Header{{cl, ""}}, Framing{}, errLength},
		{"plus", 1, Header{{cl, "+5"}}, Framing{}, errLength},
		{"minus", 1, Header{{cl, "-5"}}, Framing{}, errLength},
		{"minus zero", 1, Header{{cl, "-0"}}, Framing{}, errLength},
		{"hexadecimal", 1, Header{{cl, "0x5"}}, Framing{}, errLength},
		{"underscore", 1, Header{{cl, "1_0"}}, Framing{}, errLength},
		{"fraction", 1, Header{{cl, "5.0"}}, Framing{}, errLength},
		{"exponent", 1, Header{{cl, "1e3"}}, Framing{}, errLength},
		{"space inside", 1, Header{{cl, "1 0"}}, Framing{}, errLength},
		{"no-break space behind", 1, Header{{cl, "5\u00a0"}}, Framing{}, errLength},
		{"Arabic digit", 1, Header{{cl, "\u0665"}}, Framing{}, errLength},
		{"word", 1, Header{{cl, "five"}}, Framing{}, errLength},
		{"one above int64", 1, Header{{cl, "9223372036854775808"}}, Framing{}, errLength},
		{"wraps around uint64 to 5", 1, Header{{cl, "18446744073709551621"}}, Framing{}, errLength},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Request{Method: "POST", Target: "/", Minor: tt.minor, Header: tt.header}
			if got, err := r.Framing(); got != tt.want || err != tt.err {
				t.Errorf("got %v, %v; want %v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestResponseFraming(t *testing.T) {
	length := Header{{"Content-Length", "5"}}
	chunked := Header{{"Transfer-Encoding", "chunked"}}
	tests := []struct {
		name   string
		method string
		minor  int
		status int
		header Header
		want   Framing
		err    error
	}{
		{"length", "GET", 1, 200, length, Framing{Length, 5}, nil},
		{"chunked", "GET", 1, 200, chunked, Framing{Kind: Chunked}, nil},
		{"nothing", "GET", 1, 200, nil, Framing{Kind: UntilClose}, nil},
		{"nothing in 1.0", "GET", 0, 200, nil, Framing{Kind: UntilClose}, nil},
		{"error status", "GET", 1, 500, length, Framing{Length, 5}, nil},
		{"205 is framed like any other", "GET", 1, 205, length, Framing{Length, 5}, nil},
		{"HEAD with length", "HEAD", 1, 200, length, Framing{}, nil},
		{"HEAD with chunked", "HEAD", 1, 200, chunked, Framing{}, nil},
		{"HEAD without", "HEAD", 1, 200, nil, Framing{}, nil},
		{"head is another method", "head", 1, 200, length, Framing{Length, 5}, nil},
		{"100", "GET", 1, 100, nil, Framing{}, nil},
		{"101", "GET", 1, 101, nil, Framing{}, nil},
		{"103 with length", "GET", 1, 103, length, Framing{}, nil},
		{"204", "GET", 1, 204, nil, Framing{}, nil},
		{"204 with length", "GET", 1, 204, length, Framing{}, nil},
		{"304 with length", "GET", 1, 304, length, Framing{}, nil},
		{"tunnel", "CONNECT", 1, 200, nil, Framing{}, nil},
		{"tunnel with length", "CONNECT", 1, 299, length, Framing{}, nil},
		{"tunnel with chunked", "CONNECT", 1, 200, chunked, Framing{}, nil},
		{"no tunnel", "CONNECT", 1, 407, length, Framing{Length, 5}, nil},

		{"CL and TE", "GET", 1, 200, append(length[:1:1], chunked...), Framing{}, errBothFramings},
		{"CL.CL", "GET", 1, 200, append(length[:1:1], length...), Framing{}, errLength},
		{"TE in 1.0", "GET", 0, 200, chunked, Framing{}, errOldCoding},
		{"gzip", "GET", 1, 200, Header{{"Transfer-Encoding", "gzip"}}, Framing{}, errCoding},
		{"ambiguous although bodiless", "HEAD", 1, 200, append(length[:1:1], chunked...), Framing{}, errBothFramings},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Response{Minor: tt.minor, Status: tt.status, Header: tt.header}
			if got, err := r.Framing(tt.method); got != tt.want || err != tt.err {
				t.Errorf("got %v, %v; want %v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}
