// Package config reads Foretop's settings from the environment and describes them.
package config

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"
)

// Secret is a setting that is never printed.
type Secret string

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the value from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the value from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal gives the value to the client library that needs it.
func (s Secret) Reveal() string { return string(s) }

// Decode takes the value from the environment (envconfig.Decoder).
func (s *Secret) Decode(value string) error {
	*s = Secret(value)
	return nil
}

// Bytes is a size in bytes, written as 64MiB, 512KiB, 1GiB or a plain number.
type Bytes int64

var units = []struct {
	suffix string
	factor int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}}

// Decode parses a size (envconfig.Decoder).
func (b *Bytes) Decode(value string) error {
	text, factor := strings.TrimSpace(value), int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.suffix); ok {
			text, factor = strings.TrimSpace(rest), u.factor
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return errors.New("write a size as 512KiB, 64MiB or 1GiB")
	}
	*b = Bytes(n * factor)
	return nil
}

// String is the shortest exact form.
func (b Bytes) String() string {
	for i := 2; i >= 0; i-- {
		if n := int64(b); n != 0 && n%units[i].factor == 0 {
			return strconv.FormatInt(n/units[i].factor, 10) + units[i].suffix
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
