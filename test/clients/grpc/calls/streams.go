package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

// The cases of many calls on one connection, that must not get in each other's way.

func manyCancellations(ctx context.Context, c pb.TestServiceClient) error {
	for range 100 {
		interop.DoCancelAfterBegin(ctx, c)
		interop.DoCancelAfterFirstResponse(ctx, c)
	}
	interop.DoEmptyUnaryCall(ctx, c)
	return nil
}

func manyDeadlines(ctx context.Context, c pb.TestServiceClient) error {
	interop.DoEmptyUnaryCall(ctx, c)
	err := parallel(20, func() error {
		for i := range 20 {
			ctx, cancel := context.WithTimeout(ctx, time.Duration(1+i)*time.Millisecond)
			stream, err := c.FullDuplexCall(ctx)
			if err == nil {
				stream.Send(&pb.StreamingOutputCallRequest{Payload: payload(1000)})
				_, err = stream.Recv()
			}
			cancel()
			if err := want(codes.DeadlineExceeded, err); err != nil {
				return err
			}
		}
		return nil
	})
	interop.DoEmptyUnaryCall(ctx, c)
	return err
}

// manyStreams are open at once; each message is answered.
func manyStreams(ctx context.Context, c pb.TestServiceClient) error {
	var opened sync.WaitGroup
	opened.Add(200)
	return parallel(200, func() error {
		stream, err := c.FullDuplexCall(ctx)
		if err == nil {
			err = exchange(stream)
		}
		opened.Done()
		opened.Wait()
		if err != nil {
			return err
		}
		if err := exchange(stream); err != nil {
			return err
		}
		stream.CloseSend()
		return want(codes.OK, ended(stream))
	})
}

// serverDoesNotRead: what waits in one call does not hold up another.
func serverDoesNotRead(ctx context.Context, c pb.TestServiceClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range 4 {
		stream, err := c.FullDuplexCall(metadata.AppendToOutgoingContext(ctx, "server-does", "not read"))
		if err != nil {
			return err
		}
		if _, err := stream.Header(); err != nil {
			return err
		}
		go func() {
			for stream.Send(&pb.StreamingOutputCallRequest{Payload: payload(1 << 20)}) == nil {
			}
		}()
	}
	time.Sleep(time.Second) // the windows fill; nobody tells when
	ctx, cancelCall := context.WithTimeout(ctx, 10*time.Second)
	defer cancelCall()
	_, err := c.UnaryCall(ctx, &pb.SimpleRequest{ResponseSize: 1 << 20, Payload: payload(1 << 20)})
	return err
}

// clientDoesNotRead: what it leaves lying in one call does not hold up another.
func clientDoesNotRead(ctx context.Context, c pb.TestServiceClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range 20 {
		in := &pb.StreamingOutputCallRequest{}
		for range 20 {
			in.ResponseParameters = append(in.ResponseParameters, &pb.ResponseParameters{Size: 1 << 20})
		}
		stream, err := c.StreamingOutputCall(ctx, in)
		if err != nil {
			return err
		}
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
	time.Sleep(time.Second) // as above
	ctx, cancelCall := context.WithTimeout(ctx, 10*time.Second)
	defer cancelCall()
	_, err := c.UnaryCall(ctx, &pb.SimpleRequest{ResponseSize: 1 << 20, Payload: payload(1 << 20)})
	return err
}

// idleStream: nothing moves for so long that a server would have ended a connection
// with a ping every 30 seconds. Too long for a suite, so this is for people.
func idleStream(ctx context.Context, c pb.TestServiceClient) error {
	stream, err := c.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	if err := exchange(stream); err != nil {
		return err
	}
	time.Sleep(150 * time.Second)
	return exchange(stream)
}

// parallel runs f n times at once and returns all errors.
func parallel(n int, f func() error) error {
	errs := make(chan error, n)
	for range n {
		go func() { errs <- f() }()
	}
	var all error
	for range n {
		all = errors.Join(all, <-errs)
	}
	return all
}
