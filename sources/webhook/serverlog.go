package webhook

import (
	"context"
	"log/slog"
	"strings"
)

// serverLog takes what net/http has to say: handshakes that failed, handlers that panicked. Everybody who reaches
// the address can cause a line, so each kind is written once a minute at most.
type serverLog struct{ s *Source }

// Enabled implements slog.Handler.
func (serverLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (l serverLog) Handle(_ context.Context, record slog.Record) error {
	key := "server"
	if strings.Contains(record.Message, "TLS handshake error") {
		l.s.metrics.handshakes.Inc()
		key = "handshake"
	}
	l.s.throttle.Log(record.Level, key, record.Message, "source", l.s.opt.Name)
	return nil
}

// WithAttrs implements slog.Handler.
func (l serverLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l serverLog) WithGroup(string) slog.Handler { return l }
