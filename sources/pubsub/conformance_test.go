package pubsub

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/foretop/foretop/pkg/pipeline"
	"github.com/foretop/foretop/sources/sourcetest"
)

func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		srv := newServer(t)
		cfg := settings(t)
		cfg.BatchRecords, cfg.Streams = 20, 4
		return sourcetest.Harness{
			NewSource: func(t *testing.T) pipeline.Source { return newSource(t, srv, cfg, Options{}) },
			Put: func(_ *testing.T, bodies ...[]byte) {
				for _, b := range bodies {
					srv.Publish(auditTopic, b, nil)
				}
			},
			DrainLimit:   cfg.DrainTimeout,
			SaveInterval: 200 * time.Millisecond, // the library sends acknowledgements every 100 ms
			Patience:     20 * time.Second,       // the fake gives about 100 messages a second to a stream
			LeakOptions:  fakes,
		}
	})
}

// fakes are goroutines of the fake server, which ends after the test, and of the client library after its end.
var fakes = []goleak.Option{
	// It looks for its end every 10 seconds only.
	goleak.IgnoreAnyFunction("cloud.google.com/go/pubsub/v2.(*messageIterator).streamKeepAliveHandler"),
	goleak.IgnoreAnyFunction("cloud.google.com/go/pubsub/v2/pstest.(*subscription).start.func1"),
	goleak.IgnoreAnyFunction("google.golang.org/grpc.(*Server).Serve"),
	goleak.IgnoreAnyFunction("google.golang.org/grpc.(*Server).handleRawConn.func1"),
	goleak.IgnoreAnyFunction("google.golang.org/grpc.(*Server).serveStreams"),
	goleak.IgnoreAnyFunction("google.golang.org/grpc/internal/transport.NewServerTransport.func2"),
	goleak.IgnoreAnyFunction("google.golang.org/grpc/internal/transport.(*http2Server).keepalive"),
}
