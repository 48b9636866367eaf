package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/sources/webhook"
)

func openWebhook(t *testing.T, environ ...string) (*webhook.Source, error) {
	t.Helper()
	cfg, err := LoadSourceConfig(append(environ, "FORETOP_WEBHOOK_ADDRESS=127.0.0.1:0"), "webhook")
	if err != nil {
		t.Fatal(err)
	}
	source, err := webhookSource.open(&cfg.Sources[0], openOptions{registry: prometheus.NewRegistry(), log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	return source.(*webhook.Source), nil
}

func TestAWebhookKnowsWhichClusterPosts(t *testing.T) {
	clusters := filepath.Join(t.TempDir(), "clusters.yml")
	text := "clusters: [{name: prod, token_sha256: " + strings.Repeat("ab", 32) + "}]"
	if err := os.WriteFile(clusters, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		environ string
		want    string // in the error, empty for none
	}{
		{"", "CLUSTER_NAME is needed"},
		{"FORETOP_WEBHOOK_CLUSTER_FROM=key", "CLUSTER_NAME is needed"},
		{"FORETOP_WEBHOOK_CLUSTER_FROM=key FORETOP_CLUSTER_NAME=prod", "CLUSTER_NAME is needed"},
		{"FORETOP_WEBHOOK_CLUSTER_NAME=prod", ""},
		{"FORETOP_CLUSTER_NAME=prod", ""},
		{"FORETOP_WEBHOOK_CLUSTERS_FILE=" + clusters, ""},
		{"FORETOP_WEBHOOK_CLUSTERS_FILE=" + clusters + " FORETOP_CLUSTER_NAME=other", ""},
		{"FORETOP_WEBHOOK_CLUSTERS_FILE=" + clusters + " FORETOP_WEBHOOK_CLUSTER_NAME=other", "no effect beside CLUSTERS_FILE"},
	} {
		_, err := openWebhook(t, strings.Fields(tt.environ)...)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.environ, err, tt.want)
		}
	}
}

func TestTheFileOfAWebhooksTokenIsKnownToItSoThatItIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("a-token-that-is-long-enough"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig([]string{"FORETOP_WEBHOOK_ADDRESS=127.0.0.1:0", "FORETOP_WEBHOOK_TOKEN_FILE=" + file, "FORETOP_CLUSTER_NAME=prod", "FORETOP_ELASTICSEARCH_ADDRESSES=http://x"})
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Sources[0].FileOf("TOKEN"); got != file {
		t.Errorf("the token came from %q, want %q", got, file)
	}
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := webhookSource.open(&cfg.Sources[0], openOptions{log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("%v: the file was not read again", err)
	}
}
