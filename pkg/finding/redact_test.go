package finding

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestTextLosesItsSecrets(t *testing.T) {
	const jwt = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl-_x"
	for _, c := range []struct{ name, in, want string }{
		{"a token of a service account", "token " + jwt + " was used", "token [redacted jwt, 78 bytes] was used"},
		{"a token without its signature", "x eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0 y", "x [redacted jwt, 35 bytes] y"},
		{"a bearer header", "Authorization: Bearer " + jwt, "Authorization: [redacted value, 85 bytes]"},
		{"a bearer token in a sentence", "used Bearer s3cr3t here", "used Bearer [redacted credential, 6 bytes] here"},
		{"an encoded bearer token", "q=Bearer%20abc123", "q=Bearer%20[redacted credential, 6 bytes]"},
		{"basic credentials", "Basic dXNlcjpwYXNz end", "Basic [redacted credential, 12 bytes] end"},
		{"an AWS key id", "key AKIAIOSFODNN7EXAMPLE.", "key [redacted aws key id, 20 bytes]."},
		{"a GitHub token", "ghp_0123456789abcdefghij0123456789abcdef", "[redacted github token, 40 bytes]"},
		{"a Slack token", "xoxb-123456789012-abcdef", "[redacted slack token, 24 bytes]"},
		{"a Google key", "AIzaSyA0123456789abcdefghijklmnopqrstuv", "[redacted google api key, 39 bytes]"},
		{"a key in PEM", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- tail", "[redacted pem, 66 bytes] tail"},
		{"a key in PEM that was cut", "x -----BEGIN EC PRIVATE KEY-----\nMIIE", "x [redacted pem, 35 bytes]"},
		{"PEM in base64", "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t", "[redacted pem, 36 bytes]"},
		{"an assignment", "password=hunter2 next", "password=[redacted value, 7 bytes] next"},
		{"an assignment in upper case", "DB_PASSWORD=hunter2", "DB_PASSWORD=[redacted value, 7 bytes]"},
		{"a quoted assignment", `--set password="two words" x`, `--set password="[redacted value, 9 bytes]" x`},
		{"a query", "a=1&access_token=abc&b=2", "a=1&access_token=[redacted value, 3 bytes]&b=2"},
		{"a flag and its value", "--password hunter2 --verbose", "--password [redacted value, 7 bytes] --verbose"},
		{"a flag with an equals sign", "--token=abc", "--token=[redacted value, 3 bytes]"},
		{"a connection string", "Endpoint=sb://x/;SharedAccessKeyName=root;SharedAccessKey=abc123=", "Endpoint=sb://x/;SharedAccessKeyName=root;SharedAccessKey=[redacted value, 7 bytes]"},
		{"a password in a URL", "postgres://app:hunter2@db:5432/x", "postgres://app:[redacted password, 7 bytes]@db:5432/x"},
		{"JSON in a value", `{"password":"a\"b","user":"x"}`, `{"password":"[redacted value, 4 bytes]","user":"x"}`},
		{"YAML in a value", "user: x\npassword: hunter2\nhost: y", "user: x\npassword: [redacted value, 7 bytes]\nhost: y"},
		{"a marker stays as it is", "password=[redacted value, 7 bytes]", "password=[redacted value, 7 bytes]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, n := redactText(c.in)
			if got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			if (n > 0) != (got != c.in) {
				t.Errorf("counted %d replacements", n)
			}
		})
	}
}

func TestTextWithoutSecretsStaysAsItIs(t *testing.T) {
	for _, s := range []string{
		"system:serviceaccount:my-token-namespace:vault-secrets", "system:serviceaccount:secrets:token",
		`RBAC: allowed by ClusterRoleBinding "system:token-reader:x" of ClusterRole "secret-reader" to ServiceAccount "token-ns/sa"`,
		`secrets "db-password" is forbidden: User "system:anonymous" cannot get resource "secrets" in API group "" in the namespace "x"`,
		"registry.example:5000/secret-app:v1.2", "quay.io/org/token-service:2024.1", "vault-token-agent:1.2",
		"arn:aws:sts::111122223333:assumed-role/SecretsReader/erin@example.com",
		"/api/v1/namespaces/x/serviceaccounts/builder/token", "/api/v1/namespaces/x/secrets/token?limit=500&resourceVersion=0",
		"Authentication failed, attempted: bearer", "bearer token expired", "Basic authentication is off",
		`{"automountServiceAccountToken":true,"secretName":"db","tokenExpirationSeconds":"3600"}`,
		`{"secretKeyRef":{"name":"db","key":"password"}}`, `{"resources":["secrets"],"verbs":["get"]}`,
		"kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0", "--token-file=/var/run/token", "metadata.name=x",
		"continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MX0", "https://example.com/a?b=c@d", "ssh://git@example.com/x",
		"", "=", ":", "{", "[", `"`, `\`, "-", "token", "password=", "password: ", `{"password":""}`, `{"password":null}`,
	} {
		if got, n := redactText(s); got != s || n != 0 {
			t.Errorf("%q became %q (%d)", s, got, n)
		}
	}
}

func TestDeadLettersLoseTheirSecrets(t *testing.T) {
	const secret = "hunter2hunter2"
	for _, c := range []struct{ name, in, want string }{
		{
			"the data of a Secret", `{"kind":"Secret","data":{"a":"hunter2hunter2","b":{"c":"hunter2hunter2"}},"type":"Opaque"}`,
			`{"kind":"Secret","data":"[redacted object, 49 bytes]","type":"Opaque"}`,
		},
		{"a body that was cut", `{"stringData":{"a":"hunter2hunter2`, `{"stringData":"[redacted object, 20 bytes]"`},
		{"a string that was cut", `{"token":"hunter2hunter2`, `{"token":"[redacted value, 14 bytes]`},
		{
			"an event inside a string", `{"log":"{\"stringData\":{\"a\":\"hunter2hunter2\"},\"verb\":\"get\"}","x":1}`,
			`{"log":"{\"stringData\":\"[redacted object, 26 bytes]\",\"verb\":\"get\"}","x":1}`,
		},
		{
			"an event inside a string that was cut, in an envelope that goes on", `{"log":"{\"data\":{\"a\":\"hunter2hunter2","x":"y"}`,
			`{"log":"{\"data\":\"[redacted object, 23 bytes]\"","x":"y"}`,
		},
		{
			"two levels of strings", `{"a":"{\"b\":\"{\\\"password\\\":\\\"hunter2hunter2\\\",\\\"x\\\":1}\"}"}`,
			`{"a":"{\"b\":\"{\\\"password\\\":\\\"[redacted value, 14 bytes]\\\",\\\"x\\\":1}\"}"}`,
		},
		{
			"the configuration that was last applied", `{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"x\":\"hunter2hunter2\"}}\n","y":1}`,
			`{"kubectl.kubernetes.io/last-applied-configuration":"[redacted value, 39 bytes]","y":1}`,
		},
		{"a variable of a container", `{"env":[{"name":"A","value":"hunter2hunter2"}]}`, `{"env":[{"name":"A","value":"[redacted value, 14 bytes]"}]}`},
		{"a JSON patch", `[{"op":"add","path":"/data/x","value":"hunter2hunter2"}]`, `[{"op":"add","path":"/data/x","value":"[redacted value, 14 bytes]"}]`},
		{"a header", `{"headers":{"Authorization":["Basic hunter2hunter2"]}}`, `{"headers":{"Authorization":"[redacted object, 24 bytes]"}}`},
		{"words of a command", `{"args":["--password","hunter2hunter2","x"]}`, `{"args":["--password","[redacted value, 14 bytes]","x"]}`},
		{"words of a command in a URI", `{"requestURI":"/exec?command=--password&command=hunter2hunter2&tty=true"}`, `{"requestURI":"/exec?command=--password&command=[redacted value, 14 bytes]&tty=true"}`},
		{"a pretty-printed event inside a string", `{"log":"{\n  \"token\" : \"hunter2hunter2\"\n}"}`, `{"log":"{\n  \"token\" : \"[redacted value, 14 bytes]\"\n}"}`},
		{"a number", `{"password":12345,"x":1}`, `{"password":"[redacted value, 5 bytes]","x":1}`},
		{"no JSON at all", "level=info password=hunter2hunter2 msg=x", "level=info password=[redacted value, 14 bytes] msg=x"},
		{
			"an envelope whose data is an event", `{"data":"{\"verb\":\"get\",\"token\":\"hunter2hunter2\"}"}`,
			`{"data":"{\"verb\":\"get\",\"token\":\"[redacted value, 14 bytes]\"}"}`,
		},
		{"an event without secrets", `{"kind":"Event","verb":"get","dryRun":true,"objectRef":{"resource":"secrets","name":"token"}}`, `{"kind":"Event","verb":"get","dryRun":true,"objectRef":{"resource":"secrets","name":"token"}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := string(Redact([]byte(c.in)))
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if strings.Contains(got, secret) {
				t.Error("the secret is still there")
			}
			if json.Valid([]byte(c.in)) && !json.Valid([]byte(got)) {
				t.Error("what was valid JSON is no more")
			}
		})
	}
}

func TestRedactIsLinear(t *testing.T) {
	for _, unit := range []string{"eyJ", "eyJa.", `\`, `\"`, `"token":`, "token", "token ", "--password ", "://", "://a:b", "-----BEGIN ", "{", `{"data":{`, "AKIA", "Bearer ", `"data":"{`, "password=a ", "ghp_", "=", "\n", `\n`, "a\\"} {
		// Eight times the input: a quadratic scan would take 64 times as long. A machine that is busy with other things
		// measures a single run wrong, so the best of each counts, and more runs are made until one shows it.
		small, large := time.Hour, time.Hour
		for range 20 {
			small, large = min(small, redactTime(t, unit, 1<<16)), min(large, redactTime(t, unit, 1<<19))
			if large <= 40*small+20*time.Millisecond {
				break
			}
		}
		if large > 40*small+20*time.Millisecond {
			t.Errorf("%q: %v for 64 KiB, %v for 512 KiB", unit, small, large)
		}
	}
}

func redactTime(t *testing.T, unit string, size int) time.Duration {
	t.Helper()
	in := bytes.Repeat([]byte(unit), size/len(unit))
	start := time.Now()
	out := Redact(in)
	took := time.Since(start)
	if len(out) > 8*len(in)+64 {
		t.Fatalf("%q: %d bytes became %d", unit, len(in), len(out))
	}
	return took
}

func FuzzRedact(f *testing.F) {
	for _, s := range []string{
		`{"data":{"a":"b"}}`, `{"log":"{\"token\":\"x\"}"}`, "password=x", "Bearer abc", "://u:p@h", `{"a":"\\\\\"token\\\\\":1}`, "-----BEGIN X-----", "%3dtoken%3D",
	} {
		f.Add([]byte(s), uint8(0))
	}
	f.Fuzz(func(t *testing.T, in []byte, depth uint8) {
		if len(in) > 1<<16 {
			return
		}
		out := Redact(in)
		if len(out) > 8*len(in)+64 {
			t.Fatalf("%d bytes became %d", len(in), len(out))
		}
		if again := Redact(out); !bytes.Equal(again, out) {
			t.Fatalf("not settled at once:\n%s\nbecame\n%s\nand then\n%s", in, out, again)
		}
		if bytes.Contains(in, []byte(marked)) {
			return
		}
		// Whatever stands around it, a token in a well-formed object at any depth of strings does not survive.
		const secret = "zq9-planted-zq9"
		inner := `{"token":"` + secret + `","a":` + quote(string(in)) + `}`
		for range depth % 3 {
			inner = `{"log":` + quote(inner) + `}`
		}
		for _, text := range []string{inner, inner[:len(inner)*3/4]} {
			if got := Redact([]byte(text)); !bytes.Contains(in, []byte(secret)) && bytes.Contains(got, []byte(secret)) {
				t.Fatalf("%s\nbecame\n%s", text, got)
			}
		}
		if got := Redact([]byte(inner)); !json.Valid(got) {
			t.Fatalf("no valid JSON any more:\n%s\nbecame\n%s", inner, got)
		}
	})
}

func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)
	return strings.TrimSuffix(b.String(), "\n")
}

func TestWordsOfACommandLoseTheirSecrets(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"a flag and its value", "psql --password hunter2 -h db", "psql --password [redacted argument, 7 bytes] -h db"},
		{"mysql's attached password", "mysql -uroot -phunter2 db", "mysql -uroot -p[redacted argument, 7 bytes] db"},
		{"a path to the program", "/usr/bin/mysqldump -phunter2", "/usr/bin/mysqldump -p[redacted argument, 7 bytes]"},
		{"-p of another program is no password", "mkdir -p /var/lib/x", "mkdir -p /var/lib/x"},
		{"sshpass", "sshpass -p hunter2 ssh host", "sshpass -p [redacted argument, 7 bytes] ssh host"},
		{"redis", "redis-cli -a hunter2 keys", "redis-cli -a [redacted argument, 7 bytes] keys"},
		{"curl's user", "curl -u admin:hunter2 https://x", "curl -u [redacted argument, 13 bytes] https://x"},
		{"an assignment before the program", "PGPASSWORD=hunter2 psql", "PGPASSWORD=[redacted value, 7 bytes] psql"},
		{"a shell", "sh", "sh"},
	} {
		t.Run(c.name, func(t *testing.T) {
			words, _ := redactWords(strings.Fields(c.in))
			if got := strings.Join(words, " "); got != c.want {
				t.Errorf("as words: got %q, want %q", got, c.want)
			}
			words, _ = redactWords([]string{"sh", "-c", c.in})
			if strings.Contains(strings.Join(words, " "), "hunter2") {
				t.Errorf("as a shell's line: %q", words)
			}
			line, _ := redactLine(c.in)
			if strings.Contains(line, "hunter2") {
				t.Errorf("as a line: %q", line)
			}
		})
	}
}

func TestURIsLoseTheirSecrets(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"/api/v1/pods?limit=500&labelSelector=app%3Dx", "/api/v1/pods?limit=500&labelSelector=app%3Dx"},
		{"/logs?access_token=a%20b&x=1", "/logs?access_token=[redacted parameter, 3 bytes]&x=1"},
		{"/exec?command=sh&command=-c&command=mysql+-phunter2&tty=true", "/exec?command=sh&command=-c&command=mysql -p[redacted argument, 7 bytes]&tty=true"},
		{"/exec?command=echo&command=eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", "/exec?command=echo&command=[redacted jwt, 36 bytes]"},
		{"/api/v1/namespaces/x/services/https:web:443/proxy/login?user=a&password=b", "/api/v1/namespaces/x/services/https:web:443/proxy/login?user=a&password=[redacted parameter, 1 bytes]"},
		{"/x?%70assword=hunter2", "/x?%70assword=[redacted parameter, 7 bytes]"},
		{"/x?a=%zz&token=b", "/x?a=%zz&token=[redacted parameter, 1 bytes]"},
	} {
		if got, _ := redactURI(c.in); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.in, got, c.want)
		}
	}
}

func TestFieldsAreHiddenByWhatTheyAre(t *testing.T) {
	for _, c := range []struct {
		resource, path string
		want           bool
	}{
		{"secrets", "requestObject.data.user", true},
		{"secrets", "requestObject.stringData.user", true},
		{"secrets", "responseObject.items.data.user", true},
		{"secrets", "requestObject.value", true}, // JSON patch
		{"secrets", "requestObject.anything", true},
		{"secrets", "requestObject.metadata.name", false},
		{"secrets", "requestObject.type", false},
		{"secrets", "keywords", true},
		{"pods", "keywords", false},
		{"configmaps", "responseObject.binaryData.x", true},
		{"configmaps", "responseObject.metadata.labels.app", false},
		{"pods", "container.env.value", true},
		{"pods", "requestObject.spec.containers[0].env[1].value", true},
		{"pods", "container.env.name", false},
		{"pods", "container.image", false},
		{"pods", "pod.automountServiceAccountToken", false},
		{"pods", "volume.secret.secretName", false},
		{"pods", "pod.tolerations.value", false},
		{"pods", "metadata.annotations.kubectl.kubernetes.io/last-applied-configuration", true},
		{"pods", "metadata.annotations.example.com/api-token", true},
		{"serviceaccounts", "responseObject.status.token", true},
		{"serviceaccounts", "responseObject.status.expirationTimestamp", false},
		{"tokenreviews", "requestObject.spec.token", true},
		{"certificatesigningrequests", "requestObject.spec.request", true},
		{"certificatesigningrequests", "responseObject.status.certificate", true},
		{"certificatesigningrequests", "requestObject.spec.signerName", false},
		{"mutatingwebhookconfigurations", "requestObject.webhooks.clientConfig.caBundle", true},
		{"mutatingwebhookconfigurations", "requestObject.webhooks.clientConfig.url", false},
		{"pods", "annotations.apiserver.latency.k8s.io/authorization", false},
		{"pods", "request.query.access_token", true},
		{"pods", "request.query.container", false},
		{"sealedsecrets", "requestObject.spec.template.stringData.user", true},
		{"clusterroles", "rule.resources", false},
		{"pods", "userAgent", false},
	} {
		if _, got := hiddenPath(c.resource, c.path); got != c.want {
			t.Errorf("%s %s: hidden is %v", c.resource, c.path, got)
		}
	}
}
