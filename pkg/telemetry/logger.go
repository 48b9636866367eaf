// Package telemetry is what operators see of a running Foretop: logs, metrics and health.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"

	"golang.org/x/term"
)

// LogOptions say how to log.
type LogOptions struct {
	// Level is debug, info, warn or error.
	Level string
	// Format is json, text, or auto: text if the writer is a terminal, else json.
	Format string
}

// NewLogger makes a logger whose lines hold no credentials, no control characters and no long texts.
// Audit content does not belong into logs at all: this is the second line of defence, for texts of client
// libraries.
func NewLogger(w io.Writer, o LogOptions) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.Level)); err != nil {
		return nil, fmt.Errorf("log level %q: write debug, info, warn or error", o.Level)
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: redactAttr}
	switch {
	case o.Format == "json", o.Format == "auto" && !isTerminal(w):
		return slog.New(slog.NewJSONHandler(w, options)), nil
	case o.Format == "text", o.Format == "auto":
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return nil, fmt.Errorf("log format %q: write json, text or auto", o.Format)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// maxLogText bounds one text in a log line, in bytes.
const maxLogText = 2 << 10

var (
	secretKey = regexp.MustCompile(`(?i)(password|passwd|secret|token|authorization|api_?key|credential|connection_?string)`)
	// secretText finds credentials in the texts of errors: the user part of a URL, HTTP authorization,
	// key=value pairs as in connection strings, and JSON web tokens.
	secretText = regexp.MustCompile(`(?i)(://)[^/\s"]*@|((?:bearer|basic|apikey)\s+)[a-z0-9+/_.=~-]{8,}|` +
		`((?:password|passwd|secret|token|SharedAccessKey|api_?key)["']?\s*[=:]\s*["']?)[^\s"',;&]+|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*`)
)

const hidden = "***"

func redactAttr(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(redactText(a.Key, a.Value.String()))
	case slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case error:
			a.Value = slog.StringValue(redactText(a.Key, v.Error()))
		case fmt.Stringer:
			a.Value = slog.StringValue(redactText(a.Key, v.String()))
		case *slog.Source, nil:
		default:
			a.Value = slog.StringValue(redactText(a.Key, fmt.Sprintf("%v", v)))
		}
	}
	return a
}

func redactText(key, text string) string {
	if text != "" && secretKey.MatchString(key) {
		return hidden
	}
	text = secretText.ReplaceAllString(text, "${1}${2}${3}"+hidden)
	if len(text) > maxLogText {
		text = strings.ToValidUTF8(text[:maxLogText], "") + "..."
	}
	return text
}
