package pubsub

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// service answers as a test says, where Google's fake has no fault to inject. It holds any number of messages and gives
// them out by the hundred, as the real service does; Google's fake gives one at a time.
type service struct {
	pubsubpb.UnimplementedSubscriberServer
	iampb.UnimplementedIAMPolicyServer
	addr string

	// Each is asked first, if it is set.
	onPull  func() error
	onAck   func(ctx context.Context) error
	granted func() ([]string, error)

	messages int // to give out
	size     int
	given    atomic.Int64
	acked    atomic.Int64
	settled  chan struct{} // closed when all are acknowledged

	mu          sync.Mutex
	outstanding int
	freed       *sync.Cond
}

func newService(t testing.TB, s *service) *service {
	t.Helper()
	s.freed, s.settled = sync.NewCond(&s.mu), make(chan struct{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pubsubpb.RegisterSubscriberServer(server, s)
	iampb.RegisterIAMPolicyServer(server, s)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() {
		s.freed.Broadcast()
		server.Stop()
	})
	s.addr = l.Addr().String()
	return s
}

func (s *service) StreamingPull(stream pubsubpb.Subscriber_StreamingPullServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if s.onPull != nil {
		if err := s.onPull(); err != nil {
			return err
		}
	}
	defer context.AfterFunc(stream.Context(), s.freed.Broadcast)()
	for stream.Context().Err() == nil {
		answer := s.take(stream.Context(), int(first.GetMaxOutstandingMessages()))
		if answer == nil {
			break
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return nil
}

// take gives out up to a hundred messages, as many as may be outstanding; nil when there are no more.
func (s *service) take(ctx context.Context, limit int) *pubsubpb.StreamingPullResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.outstanding >= limit && ctx.Err() == nil {
		s.freed.Wait()
	}
	answer := &pubsubpb.StreamingPullResponse{}
	for len(answer.ReceivedMessages) < 100 && s.outstanding < limit && ctx.Err() == nil && int(s.given.Load()) < s.messages {
		n := s.given.Add(1)
		s.outstanding++
		answer.ReceivedMessages = append(answer.ReceivedMessages, &pubsubpb.ReceivedMessage{
			AckId:   fmt.Sprint("ack-", n),
			Message: &pubsubpb.PubsubMessage{Data: make([]byte, s.size), MessageId: fmt.Sprint(n), PublishTime: timestamppb.Now()},
		})
	}
	if len(answer.ReceivedMessages) == 0 {
		return nil
	}
	return answer
}

func (s *service) Acknowledge(ctx context.Context, req *pubsubpb.AcknowledgeRequest) (*emptypb.Empty, error) {
	if s.onAck != nil {
		if err := s.onAck(ctx); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	s.outstanding -= len(req.GetAckIds())
	s.mu.Unlock()
	s.freed.Broadcast()
	if s.acked.Add(int64(len(req.GetAckIds()))) == int64(s.messages) {
		close(s.settled)
	}
	return &emptypb.Empty{}, nil
}

func (s *service) ModifyAckDeadline(context.Context, *pubsubpb.ModifyAckDeadlineRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (s *service) TestIamPermissions(context.Context, *iampb.TestIamPermissionsRequest) (*iampb.TestIamPermissionsResponse, error) {
	permissions, err := s.granted()
	return &iampb.TestIamPermissionsResponse{Permissions: permissions}, err
}
