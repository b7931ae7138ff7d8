// An ext_proc server on grpc-go that does nothing but answer: one header set each way, or the request's body
// sent back. What a Go engine cannot be faster than.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// Larger than any body that is measured, so that flow control never waits.
	windowBytes = 16 << 20
	bufferBytes = 256 << 10
	// Above the default of 4 MiB, which ext_proc servers run into.
	messageBytes = 16 << 20
	// More than there are streams at a time under load: each keeps its worker while the upstream works.
	streamWorkers = 256
)

// Built once: the server does no work of its own.
var (
	requestHeaders = &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_RequestHeaders{
			RequestHeaders: &extprocv3.HeadersResponse{Response: setHeader("x-bench-request")},
		},
	}
	responseHeaders = &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ResponseHeaders{
			ResponseHeaders: &extprocv3.HeadersResponse{Response: setHeader("x-bench-response")},
		},
	}
	askForBody = &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{}},
		ModeOverride: &modev3.ProcessingMode{
			RequestHeaderMode:   modev3.ProcessingMode_SEND,
			ResponseHeaderMode:  modev3.ProcessingMode_SKIP,
			RequestBodyMode:     modev3.ProcessingMode_BUFFERED,
			ResponseBodyMode:    modev3.ProcessingMode_NONE,
			RequestTrailerMode:  modev3.ProcessingMode_SKIP,
			ResponseTrailerMode: modev3.ProcessingMode_SKIP,
		},
	}
)

func setHeader(name string) *extprocv3.CommonResponse {
	return &extprocv3.CommonResponse{
		HeaderMutation: &extprocv3.HeaderMutation{
			SetHeaders: []*corev3.HeaderValueOption{
				{Header: &corev3.HeaderValue{Key: name, RawValue: []byte("1")}},
			},
		},
	}
}

type server struct {
	extprocv3.UnimplementedExternalProcessorServer
	bodies bool
}

func (s *server) Process(stream extprocv3.ExternalProcessor_ProcessServer) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		reply, err := s.answer(request)
		if err != nil {
			return err
		}
		if err := stream.Send(reply); err != nil {
			return err
		}
	}
}

func (s *server) answer(request *extprocv3.ProcessingRequest) (*extprocv3.ProcessingResponse, error) {
	switch message := request.Request.(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		if s.bodies {
			return askForBody, nil
		}
		return requestHeaders, nil
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		return responseHeaders, nil
	case *extprocv3.ProcessingRequest_RequestBody:
		return echo(message.RequestBody.Body), nil
	default:
		return nil, status.Error(codes.InvalidArgument, "a message that was not asked for")
	}
}

func echo(body []byte) *extprocv3.ProcessingResponse {
	common := setHeader("x-bench-request")
	common.BodyMutation = &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_Body{Body: body}}
	return &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_RequestBody{
			RequestBody: &extprocv3.BodyResponse{Response: common},
		},
	}
}

func main() {
	port := flag.Int("port", 0, "loopback port to listen on")
	bodies := flag.Bool("bodies", false, "ask for the request's body and send it back")
	flag.Parse()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	grpcServer := grpc.NewServer(
		// Goroutines that stay, so that a stream does not grow a new stack.
		grpc.NumStreamWorkers(streamWorkers),
		grpc.InitialWindowSize(windowBytes),
		grpc.InitialConnWindowSize(windowBytes),
		grpc.ReadBufferSize(bufferBytes),
		grpc.WriteBufferSize(bufferBytes),
		grpc.SharedWriteBuffer(true),
		grpc.MaxRecvMsgSize(messageBytes),
		grpc.MaxConcurrentStreams(1<<20),
	)
	extprocv3.RegisterExternalProcessorServer(grpcServer, &server{bodies: *bodies})
	fmt.Println("ready")
	log.Fatal(grpcServer.Serve(listener))
}
