package app

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/foretop/foretop/pkg/decode"
	"github.com/foretop/foretop/pkg/pipeline"
)

const hubLogin = "Endpoint=sb://example.servicebus.windows.net/;SharedAccessKeyName=reader;SharedAccessKey=a$key+/=="

// selfSigned is a certificate for 127.0.0.1, and the file of it as a CA.
func selfSigned(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wanted := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, wanted, wanted, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}, file
}

// hubMessages are bodies of messages as AKS and other services write them to one hub: batches of several categories, logs
// cut at 16 KiB, bodies that Azure left out, records that are no JSON.
func hubMessages(t *testing.T) (good, all [][]byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "decode", "testdata", "aks", "*.json*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, ".golden") {
			continue
		}
		body, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		good = append(good, body)
		twin := bytes.ReplaceAll(body, []byte(`"kube-audit"`), []byte(`"kube-audit-admin"`))
		all = append(all, []byte(`{'records': [ [ 227 B blob data ], 'x`), body, twin)
	}
	if len(good) < 7 {
		t.Fatalf("%d messages", len(good))
	}
	return good, append(all, []byte(`{"records":[{"category":"kube-audit","properties":{"log":"`))
}

func TestAHubOfEverythingGivesEachFindingOfItsAuditLogsAndIsReadToItsEnd(t *testing.T) {
	secured, ca := selfSigned(t)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "insights"), kfake.TLS(secured), kfake.EnableSASL(), kfake.Superuser("PLAIN", "$ConnectionString", hubLogin))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	good, messages := hubMessages(t)
	pool := x509.NewCertPool()
	if text, err := os.ReadFile(ca); err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("insights"), kgo.DialTLSConfig(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}),
		kgo.SASL(plain.Auth{User: "$ConnectionString", Pass: hubLogin}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, m := range messages {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Value: m}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}

	rule := strings.Replace(ruleText("A", "x", "high"), "verb: x", "verb: [create, get, list, update, patch, delete, watch]", 1)
	rules := t.TempDir()
	writeRules(t, rules, map[string]string{"a.yml": rule})
	out := filepath.Join(t.TempDir(), "findings.ndjson")
	dead := filepath.Join(t.TempDir(), "dead.ndjson")
	s := makeService(t, "FORETOP_EVENTHUBS_CONNECTION_STRING="+hubLogin, "FORETOP_EVENTHUBS_HUBS=insights", "FORETOP_EVENTHUBS_TLS_CA_FILE="+ca,
		"FORETOP_EVENTHUBS_BROKERS="+c.ListenAddrs()[0], "FORETOP_SINKS=ndjson", "FORETOP_NDJSON_PATH="+out, "FORETOP_DEAD_LETTERS_PATH="+dead,
		"FORETOP_RULES="+rules, "FORETOP_NO_BUILTIN=true", "FORETOP_ADMIN_ADDRESS=127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx, nil) }()
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if g := c.GroupInfo("foretop-insights"); g != nil && g.Commits["insights"][0].Offset == int64(len(messages)) {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("the hub is not read to its end within 30s")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}

	var plainRecords []pipeline.Record
	for _, m := range good {
		plainRecords = append(plainRecords, pipeline.Record{Body: m})
	}
	want := make(map[string]bool)
	loaded := mustLoad(t, map[string]string{"a.yml": rule})
	judge := JudgeOptions{Rules: func() *Rules { return loaded }, Decode: func(string) decode.Options { return decode.Options{} }}
	fx := process(t, NewProcessor(judge), plainRecords...)
	for _, d := range fx.Documents {
		want[d.ID] = true
	}
	if len(want) < 5 {
		t.Fatalf("%d findings are expected", len(want))
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), idsOf(t, out)); diff != "" {
		t.Error(diff)
	}
	if n := bytes.Count(mustRead(t, dead), []byte{'\n'}); n < len(good)+1 {
		t.Errorf("%d dead letters, want one for each message that is broken", n)
	}
}

// idsOf are the different ids of the findings in a file.
func idsOf(t *testing.T, file string) []string {
	t.Helper()
	ids := make(map[string]bool)
	for line := range bytes.Lines(mustRead(t, file)) {
		var f struct{ Event struct{ ID string } }
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatal(err)
		}
		ids[f.Event.ID] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

func mustRead(t *testing.T, file string) []byte {
	t.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
