package sigv4

import (
	"testing"
	"time"
)

func BenchmarkSign(b *testing.B) {
	v := upload
	fields := append([]string{"Authorization", v.dummy(), "X-Amz-Date", "20990101T000000Z"}, v.fields...)
	r := Request{Method: v.method, Host: v.host, Target: v.target, Fields: pairs(fields)}
	for b.Loop() {
		c, err := Read(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Sign(r, c, Keys{AccessKeyID: v.id, SecretAccessKey: v.secret}, time.Unix(0, 0)); err != nil {
			b.Fatal(err)
		}
	}
}

// The chunks of a body, in MB/s.
func BenchmarkChunks(b *testing.B) {
	in := body(dummies(3))
	b.SetBytes(int64(len(in)))
	s := &Signed{payload: chunkedPayload, key: []byte("key")}
	var out []byte
	for b.Loop() {
		var err error
		if out, err = s.Chunks(1<<20).Write(out[:0], in); err != nil {
			b.Fatal(err)
		}
	}
}
