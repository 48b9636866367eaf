// Package checkpoint keeps the positions of sources that have no broker to keep them.
package checkpoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Store is a small durable map from keys to text. Its methods are safe for concurrent use. What Put and
// Delete return nil for survives a crash.
type Store interface {
	// Get returns the value of key, nil if there is none: that is no error.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put stores value, at most MaxValue bytes of UTF-8 text, under key (see Key).
	Put(ctx context.Context, key string, value []byte) error
	// Delete removes key; removing a missing one is no error.
	Delete(ctx context.Context, key string) error
	// Keys lists the keys that start with prefix, sorted.
	Keys(ctx context.Context, prefix string) ([]string, error)
	// Close releases the store. It saves nothing: all that Put accepted is saved.
	Close() error
}

// MaxValue bounds one value; MaxKey bounds one key. Both are what a Kubernetes ConfigMap can hold with room
// to spare, so that every Store can hold what one can.
const (
	MaxValue = 64 << 10
	MaxKey   = 253
)

// Key makes a valid key of parts that may hold anything: readable where that is possible, with a hash of
// the exact parts at the end. The same parts give the same key, and different ones a different key.
// The first part is kept as a prefix for Keys, so it has to be a valid key itself.
func Key(kind string, parts ...string) string {
	sum := sha256.New()
	var readable strings.Builder
	readable.WriteString(kind)
	for _, part := range parts {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
		readable.WriteByte('.')
		for _, r := range part {
			if !allowed(r) {
				r = '-'
			}
			readable.WriteRune(r)
		}
	}
	const hashLength = 16
	text := readable.String()
	text = text[:min(len(text), MaxKey-hashLength-1)]
	return text + "." + hex.EncodeToString(sum.Sum(nil))[:hashLength]
}

func allowed(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
}

// check refuses what some Store could not hold.
func check(key string, value []byte) error {
	if key == "" || len(key) > MaxKey || strings.ContainsFunc(key, func(r rune) bool { return !allowed(r) }) {
		return fmt.Errorf("checkpoint: key %q: write 1 to %d letters, digits, '-', '_' or '.'", key, MaxKey)
	}
	if key == "." || strings.HasPrefix(key, "..") {
		return fmt.Errorf("checkpoint: key %q: a ConfigMap holds no key that reads as a path", key)
	}
	if len(value) > MaxValue {
		return fmt.Errorf("checkpoint: key %s: a value of %d bytes is longer than %d", key, len(value), MaxValue)
	}
	if !utf8.Valid(value) {
		return fmt.Errorf("checkpoint: key %s: the value is not UTF-8 text", key)
	}
	return nil
}

// keysWith are the keys that start with prefix, sorted.
func keysWith[V any](values map[string]V, prefix string) []string {
	var keys []string
	for key := range values {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
