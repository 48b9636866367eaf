package checkpoint

import (
	"context"
	"slices"
	"sync"
)

// Memory is a Store that forgets with the process, for what must not touch the positions of a service.
type Memory struct {
	mu     sync.Mutex
	values map[string][]byte
}

var _ Store = (*Memory)(nil)

// NewMemory makes an empty store.
func NewMemory() *Memory { return &Memory{values: make(map[string][]byte)} }

// Get implements Store.
func (m *Memory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.values[key]), nil // of an empty value an empty one, of none nil
}

// Put implements Store.
func (m *Memory) Put(_ context.Context, key string, value []byte) error {
	if err := check(key, value); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = append([]byte{}, value...)
	return nil
}

// Delete implements Store.
func (m *Memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, key)
	return nil
}

// Keys implements Store.
func (m *Memory) Keys(_ context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return keysWith(m.values, prefix), nil
}

// Close implements Store.
func (m *Memory) Close() error { return nil }
