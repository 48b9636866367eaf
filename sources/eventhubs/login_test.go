package eventhubs

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/foretop/foretop/pkg/config"
)

// refused expects that Run gives up with a cause that does not hold the secret.
func refused(t *testing.T, c *consumer, want, secret string) {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(30 * time.Second):
		t.Fatal("Run goes on")
	}
	if c.err == nil || !strings.Contains(c.err.Error(), want) {
		t.Errorf("Run: %v, want %q", c.err, want)
	}
	if c.err != nil && strings.Contains(c.err.Error()+c.log.String(), secret) {
		t.Error("the error or the log holds the secret")
	}
}

func TestAWrongKeyIsNamedAndNotRepeated(t *testing.T) {
	for name, mute := range map[string]bool{"told by an answer that repeats it": false, "told by the end of the connection": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNamespace(t)
			n.mute = mute
			cfg := withKey(t, n)
			cfg.ConnectionString = config.Secret(strings.ReplaceAll(example, "right-key+/==", "c2VjcmV0LXdyb25nLWtleQ=="))
			refused(t, start(t, cfg, Options{}), "the SharedAccessKey was refused: it was rotated", "c2VjcmV0LXdyb25nLWtleQ")
		})
	}
}

func TestARefusedTokenIsNamedWithTheAnswerOfTheService(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	c := start(t, withToken(t, n), Options{Credential: &identity{audience: "https://other.servicebus.windows.net", life: time.Hour}})
	refused(t, c, `it says "{\"status\":\"invalid_token\",\"scope\":\"wrong audience\"}"): the token was refused: NAMESPACE must be`, "eyJ")
}

// answering is an authority that answers with a status.
func answering(status int) func(context.Context) error {
	return func(context.Context) error {
		asked := &http.Request{Method: http.MethodPost, URL: &url.URL{Scheme: "https", Host: "authority.example"}}
		return &azidentity.AuthenticationFailedError{RawResponse: &http.Response{StatusCode: status, Body: http.NoBody, Request: asked}}
	}
}

func TestAnIdentityThatEntraRefusesEndsTheRun(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	id := rightIdentity()
	id.failWith(answering(http.StatusUnauthorized))
	refused(t, start(t, withToken(t, n), Options{Credential: id}), "Microsoft Entra ID refused the identity: check AZURE_CLIENT_ID", "eyJ")
}

func TestAnAuthorityThatIsAwayIsAwaited(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	put(t, n.producer(), 0, 10)
	id := rightIdentity()
	id.failWith(answering(http.StatusServiceUnavailable))
	c := start(t, withToken(t, n), Options{Credential: id})
	c.health("the login could not be started: getting a token for https://example.servicebus.windows.net/.default")
	id.failWith(func(ctx context.Context) error {
		<-ctx.Done() // it hangs
		return ctx.Err()
	})
	time.Sleep(200 * time.Millisecond)
	id.failWith(nil)
	c.has(10)
	c.well()
	c.stop()
	if c.err != nil {
		t.Errorf("Run: %v", c.err)
	}
}

func TestAnAuthorityThatHangsIsNamedInsteadOfTheBroker(t *testing.T) {
	n := newNamespace(t)
	id := rightIdentity()
	id.failWith(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	cfg := withToken(t, n)
	cfg.DialTimeout = 200 * time.Millisecond
	c := start(t, cfg, Options{Credential: id})
	c.health("getting a token for")
	c.stop()
}

func TestARotatedConnectionStringIsReadFromItsFile(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	cl := n.producer()
	file := filepath.Join(t.TempDir(), "connection")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(example)
	cfg := settings(t, n, "FORETOP_EVENTHUBS_CONNECTION_STRING_FILE="+file)
	put(t, cl, 0, 10)
	c := start(t, cfg, Options{})
	c.has(10)

	write("Endpoint=sb://exa") // it is being replaced
	n.cut()
	c.logged("now holds something else")
	n.set(func() { n.key = "fresh-key" })
	write(strings.ReplaceAll(example, "right-key+/==", "fresh-key"))
	fresh := n.producer()
	put(t, fresh, 10, 10)
	c.has(20)
	c.well()
	if strings.Contains(c.log.String(), "fresh-key") || strings.Contains(c.log.String(), "right-key") {
		t.Error("the log holds a key")
	}
	c.stop()
	if c.err != nil {
		t.Errorf("Run: %v", c.err)
	}
}

func TestAConnectionStringThatComesToNameSomethingElseIsAnError(t *testing.T) {
	fixed, err := parseConnectionString(example)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "connection")
	key := &sharedKey{fixed: fixed, file: file}
	for want, text := range map[string]string{
		"now names another namespace or event hub": strings.ReplaceAll(example, "example", "elsewhere"),
		"than at the start: restart to read that":  example + ";EntityPath=other",
		"is larger than a connection string":       strings.Repeat(example, 10_000),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := key.Start(t.Context()); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "right-key") {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestASessionThatGoesOnAfterARefusalIsEnded(t *testing.T) {
	s := &tokenSession{}
	done, answer, err := s.Next(t.Context(), []byte(`{"status":"invalid_token"}`))
	if done || err != nil || string(answer) != "\x01" {
		t.Errorf("Next: %v %q %v", done, answer, err)
	}
	if done, _, err = s.Next(t.Context(), nil); done || err == nil {
		t.Errorf("an empty answer after a refusal: %v %v", done, err)
	}
}

func TestATokenThatCannotBeSentIsAnError(t *testing.T) {
	for name, id := range map[string]*identity{
		"expired": {audience: "x", life: -time.Minute},
	} {
		tok := &token{credential: id, scope: "https://example.servicebus.windows.net/.default"}
		if _, _, err := tok.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "compare the clocks") {
			t.Errorf("%s: %v", name, err)
		}
	}
	failing := rightIdentity()
	cause := errors.New("no route")
	failing.failWith(func(context.Context) error { return cause })
	if _, _, err := (&token{credential: failing, scope: "s"}).Start(t.Context()); !errors.Is(err, cause) {
		t.Errorf("error %v", err)
	}
}
