package telemetry

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"
)

func logLine(t *testing.T, format string, args ...any) string {
	t.Helper()
	var out strings.Builder
	logger, err := NewLogger(&out, LogOptions{Level: "info", Format: format})
	if err != nil {
		t.Fatal(err)
	}
	logger.Info("something happened", args...)
	return out.String()
}

func TestCredentialsNeverReachTheLog(t *testing.T) {
	const secret = "hunter2hunter2"
	address := &url.URL{Scheme: "https", User: url.UserPassword("elastic", secret), Host: "es:9200"}
	for name, args := range map[string][]any{
		"under a telling key":            {"kafka_password", secret},
		"under a telling key in a group": {"config", map[string]string{"password": secret}},
		"in the address of an error":     {"err", errors.New(`Get "https://elastic:` + secret + `@es:9200/": refused`)},
		"in a Stringer":                  {"url", headerOf{address}},
		"as a bearer token":              {"err", errors.New("401 for Authorization: Bearer " + secret)},
		"as an API key":                  {"header", "ApiKey " + secret},
		"in a connection string":         {"err", errors.New("cannot parse Endpoint=sb://x/;SharedAccessKeyName=k;SharedAccessKey=" + secret)},
		"in JSON":                        {"body", `{"password": "` + secret + `"}`},
		"as a web token":                 {"err", errors.New("bad token eyJhbGciOiJSUzI1NiJ9." + secret + ".c2ln")},
	} {
		for _, format := range []string{"json", "text"} {
			if line := logLine(t, format, args...); strings.Contains(line, "hunter2") {
				t.Errorf("%s, %s: %s", name, format, line)
			}
		}
	}
}

type headerOf struct{ u *url.URL }

func (h headerOf) String() string { return h.u.String() }

func TestOrdinaryTextStaysReadable(t *testing.T) {
	line := logLine(t, "json", "err", errors.New("dial tcp 127.0.0.1:9200: connect: connection refused"), "wait", 3*time.Second,
		"records", 7, "topic", "audit", "path", "/var/log/kube-apiserver/audit.log")
	for _, part := range []string{"connection refused", `"records":7`, `"topic":"audit"`, "/var/log/kube-apiserver/audit.log", `"wait":"3s"`} {
		if !strings.Contains(line, part) {
			t.Errorf("%s is missing in %s", part, line)
		}
	}
}

func TestHostileTextCannotForgeALine(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		line := logLine(t, format, "name", "a\nlevel=ERROR msg=forged\x1b[2J\r", "long", strings.Repeat("é", 5000))
		if strings.Count(line, "\n") != 1 || strings.ContainsAny(line, "\x1b\r") {
			t.Errorf("%s: %q", format, line)
		}
		if len(line) > 3*maxLogText {
			t.Errorf("%s: %d bytes in one line", format, len(line))
		}
	}
}

func TestFormatFollowsTheWriter(t *testing.T) {
	if line := logLine(t, "auto"); !strings.HasPrefix(line, "{") {
		t.Errorf("no terminal, but no JSON: %s", line)
	}
	for _, o := range []LogOptions{{Level: "loud", Format: "json"}, {Level: "info", Format: "xml"}} {
		if _, err := NewLogger(&strings.Builder{}, o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}
