package eventhubs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSettingsAreCheckedAndSecretsNotRepeated(t *testing.T) {
	const secret = "c2VjcmV0LWtleQ=="
	good := "Endpoint=sb://example.servicebus.windows.net/;SharedAccessKeyName=reader;SharedAccessKey=" + secret
	for name, tt := range map[string]struct {
		environ []string
		want    string // empty: it is right
	}{
		"of a namespace":                {[]string{"CONNECTION_STRING=" + good, "HUBS=a,b"}, ""},
		"of a hub":                      {[]string{"CONNECTION_STRING=" + good + ";EntityPath=a"}, ""},
		"of a hub that is named too":    {[]string{"CONNECTION_STRING=" + good + ";EntityPath=a", "HUBS=a"}, ""},
		"with its end":                  {[]string{"CONNECTION_STRING=" + good + ";EntityPath=a;"}, ""},
		"with blanks, in any order":     {[]string{"CONNECTION_STRING= EntityPath=a; SharedAccessKey=" + secret + "; SharedAccessKeyName=r;endpoint=sb://x.example "}, ""},
		"an identity":                   {[]string{"NAMESPACE=example.servicebus.windows.net", "HUBS=a"}, ""},
		"nothing":                       {[]string{"HUBS=a"}, "set CONNECTION_STRING, or NAMESPACE"},
		"both":                          {[]string{"CONNECTION_STRING=" + good, "NAMESPACE=example.servicebus.windows.net", "HUBS=a"}, "one of the two"},
		"no hub":                        {[]string{"CONNECTION_STRING=" + good}, "names no event hub (EntityPath)"},
		"no hub for an identity":        {[]string{"NAMESPACE=example.servicebus.windows.net"}, "set HUBS"},
		"another hub":                   {[]string{"CONNECTION_STRING=" + good + ";EntityPath=a", "HUBS=a,b"}, "HUBS names others"},
		"quotation marks":               {[]string{`CONNECTION_STRING="` + good + `"`, "HUBS=a"}, "stands in quotation marks"},
		"a bare key":                    {[]string{"CONNECTION_STRING=" + strings.TrimRight(secret, "="), "HUBS=a"}, "is no list of Name=value"},
		"no key":                        {[]string{"CONNECTION_STRING=Endpoint=sb://x.example/;SharedAccessKeyName=" + secret, "HUBS=a"}, "has no SharedAccessKey:"},
		"no endpoint":                   {[]string{"CONNECTION_STRING=SharedAccessKeyName=r;SharedAccessKey=" + secret, "HUBS=a"}, "has no Endpoint"},
		"a storage account":             {[]string{"CONNECTION_STRING=DefaultEndpointsProtocol=https;AccountName=x;AccountKey=" + secret, "HUBS=a"}, "has no Endpoint"},
		"an endpoint of another scheme": {[]string{"CONNECTION_STRING=Endpoint=https://" + secret + ";SharedAccessKeyName=r;SharedAccessKey=" + secret, "HUBS=a"}, "not like sb://"},
		"a signature":                   {[]string{"CONNECTION_STRING=Endpoint=sb://x.example/;SharedAccessSignature=" + secret, "HUBS=a"}, "which the Kafka endpoint does not take"},
		"twice":                         {[]string{"CONNECTION_STRING=" + good + ";" + good, "HUBS=a"}, "has a part twice"},
		"a namespace by its short name": {[]string{"NAMESPACE=example", "HUBS=a"}, "must be the whole host name"},
		"a namespace as an address":     {[]string{"NAMESPACE=sb://example.servicebus.windows.net", "HUBS=a"}, "must be the whole host name"},
		"a namespace with a port":       {[]string{"NAMESPACE=example.servicebus.windows.net:9093", "HUBS=a"}, "must be the whole host name"},
		"a hub that cannot be":          {[]string{"NAMESPACE=example.servicebus.windows.net", "HUBS=a b"}, `HUBS: "a b" is no name`},
		"a session that is refused":     {[]string{"NAMESPACE=example.servicebus.windows.net", "HUBS=a", "SESSION_TIMEOUT=3s", "HEARTBEAT_INTERVAL=1s"}, "SESSION_TIMEOUT must be between 6s and 5m"},
		"a start that is none":          {[]string{"NAMESPACE=example.servicebus.windows.net", "HUBS=a", "START=newest"}, `START knows no "newest"`},
		"a limit of the consumer":       {[]string{"NAMESPACE=example.servicebus.windows.net", "HUBS=a", "BATCH_RECORDS=0"}, "BATCH_RECORDS must be"},
	} {
		t.Run(name, func(t *testing.T) {
			var environ []string
			for _, pair := range tt.environ {
				environ = append(environ, "FORETOP_EVENTHUBS_"+pair)
			}
			cfg, err := load(environ...)
			if tt.want == "" && err == nil {
				_, err = New(cfg, Options{Credential: rightIdentity()})
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), strings.TrimRight(secret, "=")) {
				t.Error("the error holds the secret")
			}
		})
	}
}

func TestTheGroupOfAnInstallationIsMadeOfItsHubs(t *testing.T) {
	long := make([]string, 30)
	for i := range long {
		long[i] = "insights-logs-kube-audit-" + strings.Repeat("x", i)
	}
	c := &Config{}
	one, other := c.group(long), c.group(append([]string{"a"}, long[1:]...))
	for _, tt := range []struct{ got, want string }{
		{c.group([]string{"insights"}), "foretop-insights"},
		{c.group([]string{"b", "a"}), "foretop-a.b"},
		{(&Config{Group: "mine"}).group([]string{"b"}), "mine"},
	} {
		if tt.got != tt.want {
			t.Errorf("group %s, want %s", tt.got, tt.want)
		}
	}
	if len(one) > longestGroup || len(other) > longestGroup || one == other || one != c.group(long) {
		t.Errorf("groups of many hubs: %s, %s", one, other)
	}
}

func TestTheBrokerIsPort9093OfTheNamespaceWithTLS(t *testing.T) {
	cfg, err := load("FORETOP_EVENTHUBS_CONNECTION_STRING=" + example + ";EntityPath=insights")
	if err != nil {
		t.Fatal(err)
	}
	login, err := cfg.login()
	if err != nil {
		t.Fatal(err)
	}
	k := cfg.kafka(login.namespace, cfg.hubs(login))
	if len(k.Brokers) != 1 || k.Brokers[0] != "example.servicebus.windows.net:9093" || !k.TLS || k.Topics[0] != "insights" || k.Isolation != "read_uncommitted" {
		t.Errorf("%+v", k)
	}
}

// Shells and templates eat dollar signs; this program does not.
func TestAConnectionStringArrivesAsItWasGiven(t *testing.T) {
	const odd = "Endpoint=sb://example.servicebus.windows.net/;SharedAccessKeyName=$Root ${HOME} $(x);SharedAccessKey=$a${b}+/=="
	file := filepath.Join(t.TempDir(), "connection")
	if err := os.WriteFile(file, []byte(odd+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, setting := range []string{"FORETOP_EVENTHUBS_CONNECTION_STRING=" + odd, "FORETOP_EVENTHUBS_CONNECTION_STRING_FILE=" + file} {
		cfg, err := load(setting, "FORETOP_EVENTHUBS_HUBS=insights")
		if err != nil {
			t.Fatal(err)
		}
		login, err := cfg.login()
		if err != nil {
			t.Fatal(err)
		}
		_, sent, err := (&sharedKey{fixed: login, file: cfg.ConnectionStringFile}).Start(t.Context())
		if want := "\x00$ConnectionString\x00" + odd; err != nil || string(sent) != want {
			t.Errorf("sent %q, want %q (%v)", sent, want, err)
		}
	}
}
