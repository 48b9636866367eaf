package pubsub

import (
	"context"
	"errors"
	"io"
	"net/url"
	"path"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/foretop/foretop/pkg/pipeline"
)

// watch stands between the client library and the connection. It sees each call, and ends calls that the library would
// not end.
type watch struct {
	// failed is told of each failed call of a session, with the last part of its method's name.
	failed func(method, stream string, err error)
	// working is told that a stream of a session answers.
	working func(stream string)
	tuning  *tuning

	mu       sync.Mutex
	sessions map[string]session // by subscription
}

// session is one Receive of the library.
type session struct {
	stream string // what records are said to come from
	// pulling ends when no more messages are wanted, calls when no call of the library may go on.
	pulling, calls context.Context //nolint:containedctx // they outlive the calls that look for them here
}

// streamProof is how long a stream must live before it counts as working although no message came.
const streamProof = 10 * time.Second

// bind begins a session for a subscription.
func (w *watch) bind(subscription string, s session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sessions[subscription] = s
}

// unbind ends it, so that the calls after it go their way.
func (w *watch) unbind(subscription string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sessions, subscription)
}

func (w *watch) session(subscription string) (session, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.sessions[subscription]
	return s, ok
}

// unary is a grpc.UnaryClientInterceptor.
func (w *watch) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	var session session
	named, ok := req.(interface{ GetSubscription() string })
	if ok {
		session, ok = w.session(named.GetSubscription())
	}
	if !ok {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(session.calls, cancel)()
	err := invoke(ctx, method, req, reply, cc, opts...)
	if err != nil && !ours(err) {
		w.failed(path.Base(method), session.stream, err)
	}
	return err
}

// stream is a grpc.StreamClientInterceptor. A stream that cannot be opened is tried again here and not by the library,
// which sleeps up to 30 seconds with a lock that the end of Receive needs (version 2.8.0).
func (w *watch) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	session, ok := w.session(subscriptionOf(ctx))
	if !ok {
		return open(ctx, desc, cc, method, opts...)
	}
	s := &watchedStream{watch: w, session: session, method: path.Base(method), library: ctx}
	ctx, cancel := context.WithCancel(ctx)
	unwatchCalls := context.AfterFunc(session.calls, cancel)
	for wait := w.tuning.again; ; wait = min(2*wait, w.tuning.againMost) {
		if session.pulling.Err() != nil {
			<-ctx.Done() // as in RecvMsg
		}
		var err error
		if s.ClientStream, err = open(ctx, desc, cc, method, opts...); err == nil {
			break
		}
		if !ours(err) {
			w.failed(s.method, session.stream, err)
		}
		if lasting(err) || ctx.Err() != nil {
			unwatchCalls()
			cancel()
			return nil, err
		}
		pipeline.Sleep(session.pulling, wait)
	}
	unwatchPulling := context.AfterFunc(session.pulling, cancel)
	s.ended = func() {
		unwatchCalls()
		unwatchPulling()
		cancel()
	}
	s.proof = time.AfterFunc(streamProof, func() { w.working(session.stream) })
	return s, nil
}

// subscriptionOf reads the header by which Google routes a call.
func subscriptionOf(ctx context.Context) string {
	md, _ := metadata.FromOutgoingContext(ctx)
	for _, params := range md.Get("x-goog-request-params") {
		if values, err := url.ParseQuery(params); err == nil && values.Has("subscription") {
			return values.Get("subscription")
		}
	}
	return ""
}

// watchedStream is one StreamingPull.
//
// Once no more messages are wanted it ends the stream, so that the service gives none to us that nobody would read;
// those that are on their way come again when their lease is over.
// The library must not learn of it: it sends no acknowledgement any more after a stream has ended, and there are
// batches to settle yet (version 2.8.0).
type watchedStream struct {
	grpc.ClientStream
	watch   *watch
	session session
	method  string
	library context.Context //nolint:containedctx // the library ends it when it wants the stream no more
	proof   *time.Timer
	ended   func()
}

// SendMsg implements grpc.ClientStream. What the library sends are signs of life.
func (s *watchedStream) SendMsg(m any) error {
	select {
	case <-s.session.pulling.Done():
		return nil // an error would make the library open another stream
	default:
		return s.ClientStream.SendMsg(m)
	}
}

// RecvMsg implements grpc.ClientStream.
func (s *watchedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	s.proof.Stop()
	switch {
	case err == nil:
		s.watch.working(s.session.stream)
		return nil
	case s.session.pulling.Err() != nil:
		select {
		case <-s.library.Done():
		case <-s.session.calls.Done():
		}
	case !errors.Is(err, io.EOF) && !ours(err):
		s.watch.failed(s.method, s.session.stream, err)
	}
	s.ended()
	return err
}
