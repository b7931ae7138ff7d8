// A client on grpc-go, for what our server must be able to do with one. It runs the cases that are named and prints
// a line for each: "ok NAME", or "failed NAME: reason".
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const (
	echo = "/test.Interop/Echo"
	// What the server takes at most.
	largest = 4 << 20
	// No case takes so long, unless it hangs.
	patience = 60 * time.Second
)

// rawCodec sends bytes as they are; protobuf messages, as the health service has them, as usual.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(value any) ([]byte, error) {
	if message, ok := value.(proto.Message); ok {
		return proto.Marshal(message)
	}
	return *value.(*[]byte), nil
}

func (rawCodec) Unmarshal(data []byte, value any) error {
	if message, ok := value.(proto.Message); ok {
		return proto.Unmarshal(data, message)
	}
	*value.(*[]byte) = append([]byte(nil), data...)
	return nil
}

type testCase func(ctx context.Context, connection *grpc.ClientConn) error

var cases = map[string]testCase{
	"health": health, "streams": streams, "deadline": deadline, "cancellation": cancellation, "large": large,
	"metadata": binaryMetadata, "trailers": trailers, "limit": limit, "resets": resets, "goaway": goAway,
	"unknown": unknown, "compressed": compressed,
}

func main() {
	address := flag.String("address", "", "where the server listens")
	ca := flag.String("ca", "", "certificate of the server, for TLS")
	cert := flag.String("cert", "", "certificate of this client, for mutual TLS")
	key := flag.String("key", "", "its key")
	flag.Parse()
	secure, err := transportCredentials(*ca, *cert, *key)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, name := range flag.Args() {
		if err := run(cases[name], *address, secure); err != nil {
			fmt.Printf("failed %s: %v\n", name, err)
		} else {
			fmt.Printf("ok %s\n", name)
		}
	}
}

func transportCredentials(ca, cert, key string) (credentials.TransportCredentials, error) {
	if ca == "" {
		return insecure.NewCredentials(), nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}

func run(test testCase, address string, secure credentials.TransportCredentials) error {
	if test == nil {
		return errors.New("there is no such case")
	}
	connection, err := grpc.NewClient(target(address), grpc.WithTransportCredentials(secure),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(2*largest)))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return test(ctx, connection)
}

// target leaves addresses alone, but for Unix sockets, which grpc-go knows by itself.
func target(address string) string {
	if strings.HasPrefix(address, "unix:") {
		return address
	}
	return "passthrough:///" + address
}

func open(ctx context.Context, connection *grpc.ClientConn) (grpc.ClientStream, error) {
	return connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, echo)
}

func exchange(stream grpc.ClientStream, message []byte) error {
	if err := stream.SendMsg(&message); err != nil && err != io.EOF {
		return err
	}
	var answer []byte
	if err := stream.RecvMsg(&answer); err != nil {
		return err
	}
	if !bytes.Equal(answer, message) {
		return fmt.Errorf("%d bytes came back for %d", len(answer), len(message))
	}
	return nil
}

// finish ends the client's half and expects a good end of the other.
func finish(stream grpc.ClientStream) error {
	if err := stream.CloseSend(); err != nil {
		return err
	}
	var answer []byte
	if err := stream.RecvMsg(&answer); err != io.EOF {
		return fmt.Errorf("the stream ended with %v", err)
	}
	return nil
}

func expect(err error, code codes.Code, text string) error {
	if status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), text) {
		return fmt.Errorf("expected %v with %q, got %v", code, text, err)
	}
	return nil
}

func health(ctx context.Context, connection *grpc.ClientConn) error {
	client := grpc_health_v1.NewHealthClient(connection)
	for _, service := range []string{"", "test.Interop"} {
		answer, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil {
			return err
		}
		if answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
			return fmt.Errorf("%q is %v", service, answer.Status)
		}
	}
	_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "what"})
	if err := expect(err, codes.NotFound, ""); err != nil {
		return err
	}
	watch, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return err
	}
	answer, err := watch.Recv()
	if err != nil || answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("watched %v, %v", answer, err)
	}
	return nil
}

// streams runs many at once, with many messages each, in lock step and ahead of the answers.
func streams(ctx context.Context, connection *grpc.ClientConn) error {
	const count, messages = 200, 50
	failures := make(chan error, count)
	var all sync.WaitGroup
	for number := range count {
		all.Add(1)
		go func() {
			defer all.Done()
			stream, err := open(ctx, connection)
			for index := 0; err == nil && index < messages; index++ {
				err = exchange(stream, []byte(fmt.Sprintf("%d-%d", number, index)))
			}
			if err == nil {
				err = finish(stream)
			}
			if err != nil {
				failures <- err
			}
		}()
	}
	all.Wait()
	close(failures)
	return <-failures
}

func deadline(ctx context.Context, connection *grpc.ClientConn) error {
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	stream, err := open(metadata.AppendToOutgoingContext(short, "x-do", "nothing"), connection)
	// On a machine that is busy it may pass before the connection is made.
	if err == nil {
		err = exchange(stream, []byte("a"))
	}
	return expect(err, codes.DeadlineExceeded, "")
}

func cancellation(ctx context.Context, connection *grpc.ClientConn) error {
	other, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := open(other, connection)
	if err != nil {
		return err
	}
	if err := exchange(stream, []byte("a")); err != nil {
		return err
	}
	cancel()
	return expect(exchange(stream, []byte("b")), codes.Canceled, "")
}

func large(ctx context.Context, connection *grpc.ClientConn) error {
	var all sync.WaitGroup
	failures := make(chan error, 8)
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			stream, err := open(ctx, connection)
			for _, size := range []int{0, 1, 65_535, 1 << 20, largest} {
				if err == nil {
					err = exchange(stream, bytes.Repeat([]byte{'x'}, size))
				}
			}
			if err == nil {
				err = finish(stream)
			}
			if err != nil {
				failures <- err
			}
		}()
	}
	all.Wait()
	close(failures)
	return <-failures
}

// binaryMetadata expects the server to answer with what it read.
func binaryMetadata(ctx context.Context, connection *grpc.ClientConn) error {
	for _, pair := range [][3]string{
		{"x-text", "plain text", "plain text"},
		{"x-key-bin", "binär \x00\x01 äöü", "binär \x00\x01 äöü"},
	} {
		with := metadata.AppendToOutgoingContext(ctx, "x-do", "tell "+pair[0], pair[0], pair[1])
		stream, err := open(with, connection)
		if err != nil {
			return err
		}
		message := []byte("a")
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
		var answer []byte
		if err := stream.RecvMsg(&answer); err != nil {
			return err
		}
		if string(answer) != pair[2] {
			return fmt.Errorf("%q came back for %q", answer, pair[1])
		}
	}
	return nil
}

// trailers expects a failure with a text that is not ASCII, behind an answer and without one.
func trailers(ctx context.Context, connection *grpc.ClientConn) error {
	for _, do := range []string{"fail", "answer and fail"} {
		stream, err := open(metadata.AppendToOutgoingContext(ctx, "x-do", do), connection)
		if err != nil {
			return err
		}
		err = exchange(stream, []byte("a"))
		if do != "fail" {
			if err != nil {
				return err
			}
			var answer []byte
			err = stream.RecvMsg(&answer)
		}
		if err := expect(err, codes.Internal, "nöt 100% good\n"); err != nil {
			return err
		}
	}
	return nil
}

func limit(ctx context.Context, connection *grpc.ClientConn) error {
	other, err := open(ctx, connection)
	if err != nil {
		return err
	}
	stream, err := open(ctx, connection)
	if err != nil {
		return err
	}
	if err := expect(exchange(stream, make([]byte, largest+1)), codes.ResourceExhausted, "bytes"); err != nil {
		return err
	}
	return exchange(other, []byte("a"))
}

// resets ends thousands of streams with RST_STREAM, as Envoy does.
func resets(ctx context.Context, connection *grpc.ClientConn) error {
	for range 5_000 {
		short, cancel := context.WithCancel(ctx)
		stream, err := open(short, connection)
		if err == nil {
			err = exchange(stream, []byte("a"))
		}
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// goAway makes the server drain while streams run: they go on, and end well.
func goAway(ctx context.Context, connection *grpc.ClientConn) error {
	var open10 []grpc.ClientStream
	for range 10 {
		stream, err := open(ctx, connection)
		if err != nil {
			return err
		}
		if err := exchange(stream, []byte("before")); err != nil {
			return err
		}
		open10 = append(open10, stream)
	}
	stop, err := open(metadata.AppendToOutgoingContext(ctx, "x-do", "stop"), connection)
	if err != nil {
		return err
	}
	if err := exchange(stop, []byte("stop")); err != nil {
		return err
	}
	for _, stream := range append(open10, stop) {
		for range 5 {
			if err := exchange(stream, []byte("after")); err != nil {
				return err
			}
		}
		if err := finish(stream); err != nil {
			return err
		}
	}
	return nil
}

func unknown(ctx context.Context, connection *grpc.ClientConn) error {
	message := []byte("a")
	var answer []byte
	return expect(connection.Invoke(ctx, "/test.Interop/What", &message, &answer), codes.Unimplemented, "")
}

func compressed(ctx context.Context, connection *grpc.ClientConn) error {
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, echo,
		grpc.UseCompressor("gzip"))
	if err != nil {
		return err
	}
	return expect(exchange(stream, bytes.Repeat([]byte("a"), 1000)), codes.Unimplemented, "ompress")
}
