package kafka

import (
	"context"
	"errors"
	"net"
	"sync"
)

// sockets knows the open connections, since kafka-go waits for answers of brokers in ways that no context
// ends: joining a group takes up to the rebalance timeout.
type sockets struct {
	open dialer

	mu     sync.Mutex
	conns  map[*socket]struct{}
	closed bool
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

var errShut = errors.New("the source has ended")

func newSockets(open dialer) *sockets {
	return &sockets{open: open, conns: make(map[*socket]struct{})}
}

// dial opens a connection. It fails after shut.
func (s *sockets) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.isShut() {
		return nil, errShut
	}
	conn, err := s.open(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &socket{Conn: conn, in: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return nil, errShut
	}
	s.conns[c] = struct{}{}
	return c, nil
}

func (s *sockets) isShut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// shut closes all connections for good.
func (s *sockets) shut() {
	s.mu.Lock()
	s.closed = true
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close()
	}
}

type socket struct {
	net.Conn
	in *sockets
}

func (c *socket) Close() error {
	c.in.mu.Lock()
	delete(c.in.conns, c)
	c.in.mu.Unlock()
	return c.Conn.Close()
}
