package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretsHideFromEveryWayOfPrinting(t *testing.T) {
	type holder struct{ Password Secret }
	h := holder{Password: "hunter2"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("started", "password", h.Password, "config", h)
	encoded, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"%s": fmt.Sprintf("<%s>", h.Password), "%v": fmt.Sprintf("%v", h), "%+v": fmt.Sprintf("%+v", &h), "%#v": fmt.Sprintf("%#v", h),
		"%q": fmt.Sprintf("%q", h.Password), "json": string(encoded), "slog": log.String(),
	} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s shows the secret: %s", name, text)
		}
	}
	if h.Password.Reveal() != "hunter2" {
		t.Error("Reveal does not")
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Bytes{"0": 0, "17": 17, "17B": 17, "64MiB": 64 << 20, " 1 GiB ": 1 << 30, "3KiB": 3 << 10} {
		var got Bytes
		if err := got.Decode(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "1MB", "1.5GiB", "x", "9223372036854775807KiB", "KiB"} {
		var got Bytes
		if err := got.Decode(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
	for size, want := range map[Bytes]string{0: "0", 1: "1", 1536: "1536", 2 << 10: "2KiB", 64 << 20: "64MiB", 1 << 30: "1GiB"} {
		if size.String() != want {
			t.Errorf("%d prints as %s, want %s", int64(size), size, want)
		}
	}
}
