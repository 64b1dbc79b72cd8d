// Command calls makes the calls that grpc-go's interop client leaves out:
//
//	AUTHORIZATION=VALUE calls CASE HOST:PORT NAME
//
// It goes by the environment, as every grpc-go client does, holds the server to the NAME,
// sends VALUE as its credential, and exits with 0 if the case went as it does without a
// proxy.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

var cases = map[string]func(context.Context, pb.TestServiceClient) error{
	"half_duplex":          halfDuplex,
	"compressed_unary":     compressedUnary,
	"compressed_streaming": compressedStreaming,
	"large_messages":       largeMessages,
	"large_metadata":       largeMetadata,
	"early_status":         earlyStatus,
	"many_cancellations":   manyCancellations,
	"many_deadlines":       manyDeadlines,
	"many_streams":         manyStreams,
	"server_does_not_read": serverDoesNotRead,
	"client_does_not_read": clientDoesNotRead,
	"idle_stream":          idleStream,
}

func main() {
	if len(os.Args) != 4 || cases[os.Args[1]] == nil {
		log.Fatal("usage: calls CASE HOST:PORT NAME")
	}
	name := os.Args[1]
	conn, err := grpc.NewClient("dns:///"+os.Args[2],
		grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(nil, os.Args[3])),
		grpc.WithPerRPCCredentials(credential(os.Getenv("AUTHORIZATION"))),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	if err := cases[name](ctx, pb.NewTestServiceClient(conn)); err != nil {
		log.Fatalf("%s: %v", name, err)
	}
}

// credential is the authorization metadata of every call.
type credential string

func (c credential) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": string(c)}, nil
}

func (credential) RequireTransportSecurity() bool { return true }

func halfDuplex(ctx context.Context, c pb.TestServiceClient) error {
	stream, err := c.HalfDuplexCall(ctx)
	if err != nil {
		return err
	}
	for range 3 {
		if err := stream.Send(ask(9)); err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for range 3 {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
	return want(codes.OK, ended(stream))
}

func compressedUnary(ctx context.Context, c pb.TestServiceClient) error {
	interop.DoLargeUnaryCall(ctx, c, grpc.UseCompressor(gzip.Name))
	return nil
}

func compressedStreaming(ctx context.Context, c pb.TestServiceClient) error {
	interop.DoPingPong(ctx, c, grpc.UseCompressor(gzip.Name))
	interop.DoServerStreaming(ctx, c, grpc.UseCompressor(gzip.Name))
	interop.DoClientStreaming(ctx, c, grpc.UseCompressor(gzip.Name))
	return nil
}

// largeMessages come whole, many at a time.
func largeMessages(ctx context.Context, c pb.TestServiceClient) error {
	return parallel(8, func() error {
		stream, err := c.FullDuplexCall(ctx)
		if err != nil {
			return err
		}
		for range 4 {
			m := ask(3 << 20)
			m.Payload = payload(3 << 20)
			if err := stream.Send(m); err != nil {
				return err
			}
			got, err := stream.Recv()
			if err != nil {
				return err
			}
			if n := len(got.GetPayload().GetBody()); n != 3<<20 {
				return fmt.Errorf("%d bytes came", n)
			}
		}
		stream.CloseSend()
		return want(codes.OK, ended(stream))
	})
}

// largeMetadata is 28 KB in each direction, text and binary, beyond the 8 KB that
// many a proxy takes.
func largeMetadata(ctx context.Context, c pb.TestServiceClient) error {
	text, binary := strings.Repeat("t", 12<<10), make([]byte, 12<<10)
	rand.Read(binary)
	ctx = metadata.AppendToOutgoingContext(ctx, "x-grpc-test-echo-initial", text, "x-grpc-test-echo-trailing-bin", string(binary))
	var header, trailer metadata.MD
	if _, err := c.UnaryCall(ctx, &pb.SimpleRequest{}, grpc.Header(&header), grpc.Trailer(&trailer)); err != nil {
		return err
	}
	if got := header.Get("x-grpc-test-echo-initial"); len(got) != 1 || got[0] != text {
		return errors.New("the initial metadata is not what was sent")
	}
	if got := trailer.Get("x-grpc-test-echo-trailing-bin"); len(got) != 1 || got[0] != string(binary) {
		return errors.New("the trailing metadata is not what was sent")
	}
	// A long status message stands in the trailers, or in a head alone.
	message := strings.Repeat("long ☺ ", 1000)
	_, err := c.UnaryCall(ctx, &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: 9, Message: message}})
	if status.Convert(err).Message() != message {
		return fmt.Errorf("the status message is not what was sent: %.100s", err)
	}
	return nil
}

// earlyStatus: the server ends the call while the client is sending.
func earlyStatus(ctx context.Context, c pb.TestServiceClient) error {
	for range 50 {
		stream, err := c.FullDuplexCall(metadata.AppendToOutgoingContext(ctx, "server-does", "end early"))
		if err != nil {
			return err
		}
		for range 100 {
			if stream.Send(&pb.StreamingOutputCallRequest{Payload: payload(32 << 10)}) != nil {
				break
			}
		}
		if err := want(codes.ResourceExhausted, ended(stream)); err != nil {
			return err
		}
	}
	interop.DoEmptyUnaryCall(ctx, c)
	return nil
}

// exchange sends one message and receives the answer to it.
func exchange(stream pb.TestService_FullDuplexCallClient) error {
	if err := stream.Send(ask(100)); err != nil {
		return err
	}
	_, err := stream.Recv()
	return err
}

func ask(size int) *pb.StreamingOutputCallRequest {
	return &pb.StreamingOutputCallRequest{ResponseParameters: []*pb.ResponseParameters{{Size: int32(size)}}}
}

func payload(size int) *pb.Payload { return &pb.Payload{Body: make([]byte, size)} }

// ended reads to the end of the stream and returns why it ended.
func ended(stream interface {
	Recv() (*pb.StreamingOutputCallResponse, error)
}) error {
	for {
		if _, err := stream.Recv(); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}

func want(code codes.Code, err error) error {
	if status.Code(err) != code {
		return fmt.Errorf("the call ended with %v, want %v", err, code)
	}
	return nil
}
