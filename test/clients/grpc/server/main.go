// Command server is grpc-go's interop server over TLS, for the tests in test/clients:
//
//	AUTHORIZATION=VALUE server -tls_cert_file FILE -tls_key_file FILE
//
// It says on which address it listens, on loopback, and refuses every call, also of a
// method that it does not have, whose authorization metadata is not VALUE alone. Beside
// what grpc-go's server can, it names itself (pick_first_unary), takes compressed
// messages, and does what a call's metadata "server-does" asks for.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // registers itself
	"google.golang.org/grpc/interop"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/orca"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// The flags are those of grpc-go's server that the tests use.
var (
	certificate = flag.String("tls_cert_file", "", "the server's certificate")
	key         = flag.String("tls_key_file", "", "its key")
	port        = flag.Int("port", 0, "the port to listen on, 0 for a free one")
	_           = flag.Bool("use_tls", true, "it is used in any case")
)

func main() {
	flag.Parse()
	log.Fatal(serve(os.Getenv("AUTHORIZATION")))
}

func serve(authorization string) error {
	creds, err := credentials.NewServerTLSFromFile(*certificate, *key)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.Creds(creds), grpc.InTapHandle(demand(authorization)), orca.CallMetricsServerOption(nil))
	pb.RegisterTestServiceServer(s, &server{TestServiceServer: interop.NewTestServer(), id: l.Addr().String()})
	log.Printf("server listening on %v", l.Addr())
	return s.Serve(l)
}

// demand refuses what comes without the credential. A tap sees calls of methods that
// the server does not have; an interceptor does not.
func demand(authorization string) tap.ServerInHandle {
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		if got := info.Header.Get("authorization"); !slices.Equal(got, []string{authorization}) {
			return nil, status.Errorf(codes.Unauthenticated, "%d authorization fields came, want the credential alone", len(got))
		}
		return ctx, nil
	}
}

type server struct {
	pb.TestServiceServer
	id string
}

// UnaryCall adds the server's name, which grpc-go leaves out.
func (s *server) UnaryCall(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	out, err := s.TestServiceServer.UnaryCall(ctx, in)
	if out != nil && in.GetFillServerId() {
		out.ServerId = s.id
	}
	return out, err
}

// FullDuplexCall is grpc-go's unless the call asks for something else.
func (s *server) FullDuplexCall(stream pb.TestService_FullDuplexCallServer) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	switch fmt.Sprint(md.Get("server-does")) {
	case "[not read]": // a server that is busy: what the client sends waits
		stream.SendHeader(nil)
		<-stream.Context().Done()
		return stream.Context().Err()
	case "[end early]": // while the client is still sending
		stream.Recv()
		return status.Error(codes.ResourceExhausted, "enough")
	}
	return s.TestServiceServer.FullDuplexCall(stream)
}
