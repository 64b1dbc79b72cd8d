// Command client MODE BASE is the grpc-go row of the table in docs/clients.md, see
// ../../clients_grpc_test.go for the service that it calls. Messages are plain bytes.
// grpc-go takes the proxy from HTTPS_PROXY and the roots from SSL_CERT_FILE by itself.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // registers itself
	"google.golang.org/grpc/metadata"
)

var modes = map[string]func(*client) error{
	"get":            (*client).get,
	"all":            (*client).all,
	"large-upload":   func(c *client) error { return c.upload("LargeUpload", "large.bin") },
	"large-download": func(c *client) error { return c.download("LargeDownload", "large-download.bin") },
	"stream":         func(c *client) error { return c.print("Stream", -1) },
	"hang-up":        func(c *client) error { return c.print("Forever", 1) },
	"gzip":           func(c *client) error { return c.print("Gzip", -1) },
	"trailers":       (*client).trailers,
	"version":        func(*client) error { fmt.Println("grpc-go", grpc.Version); return nil },
}

func main() {
	log.SetFlags(0)
	mode := modes[os.Args[1]]
	if mode == nil {
		log.Print("no such mode: ", os.Args[1])
		os.Exit(64)
	}
	base, err := url.Parse(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	conn, err := grpc.NewClient("dns:///"+base.Host,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{})),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(plain{})))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer bogus-of-the-client")
	if err := mode(&client{ctx, conn}); err != nil {
		log.Fatal(err)
	}
}

type client struct {
	ctx  context.Context
	conn *grpc.ClientConn
}

func path(method string) string { return "/keybearer.test.Service/" + method }

func (c *client) get() error {
	var answer []byte
	var header metadata.MD
	err := c.conn.Invoke(c.ctx, path("Echo"), []byte("hello"), &answer, grpc.Header(&header))
	fmt.Printf("%s\n%s\n", header["x-answer"], answer) // metadata.MD prints itself redacted
	return err
}

func (c *client) all() error {
	return errors.Join(c.get(), c.upload("Upload", "upload.bin"), c.download("Download", "download.bin"))
}

// upload streams a file, 64 KiB a message.
func (c *client) upload(method, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	stream, err := c.conn.NewStream(c.ctx, &grpc.StreamDesc{ClientStreams: true}, path(method))
	if err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		if err == io.EOF {
			break
		}
		if err == nil {
			err = stream.SendMsg(bytes.Clone(buf[:n]))
		}
		if err != nil && err != io.EOF { // io.EOF: RecvMsg says why
			return err
		}
	}
	var answer []byte
	if err := errors.Join(stream.CloseSend(), stream.RecvMsg(&answer)); err != nil {
		return err
	}
	fmt.Printf("%s\n", answer)
	return nil
}

func (c *client) download(method, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	stream, err := c.call(c.ctx, method)
	if err != nil {
		return err
	}
	header, err := stream.Header()
	fmt.Println(header["x-answer"])
	for err == nil {
		var message []byte
		if err = stream.RecvMsg(&message); err == nil {
			_, err = f.Write(message)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// print prints the first n messages, each when it comes, and cancels the call; below
// 0 all.
func (c *client) print(method string, n int) error {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	stream, err := c.call(ctx, method)
	if err != nil {
		return err
	}
	for ; n != 0; n-- {
		var message []byte
		if err := stream.RecvMsg(&message); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		fmt.Printf("%s\n", message)
	}
	return nil
}

// trailers prints a call's trailing metadata; its status is an error, on purpose.
func (c *client) trailers() error {
	var answer []byte
	var trailer metadata.MD
	err := c.conn.Invoke(c.ctx, path("Trailers"), []byte("hello"), &answer, grpc.Trailer(&trailer))
	if err == nil {
		return errors.New("the status is OK")
	}
	fmt.Println(err)
	for name, values := range trailer {
		for _, value := range values {
			fmt.Printf("trailer %s: %s\n", name, value)
		}
	}
	return nil
}

// call begins a call that many messages answer.
func (c *client) call(ctx context.Context, method string) (grpc.ClientStream, error) {
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, path(method))
	if err != nil {
		return nil, err
	}
	return stream, errors.Join(stream.SendMsg([]byte("hello")), stream.CloseSend())
}

// plain is a codec of bytes.
type plain struct{}

func (plain) Marshal(v any) ([]byte, error) { return v.([]byte), nil }

func (plain) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(data)
	return nil
}

func (plain) Name() string { return "plain" }
